use super::*;

#[test]
fn a_request_holds_what_the_kernel_reads() {
    let mut requests = Requests::default();
    let program = [Instruction {
        code: 6,
        jt: 0,
        jf: 0,
        k: STOLEN,
    }];
    requests.program(7, Hook::Egress, 2, &program, Action::Redirect(9));
    let bytes = &requests.batch.bytes;
    assert_eq!(bytes.len() % 4, 0);
    assert_eq!(
        u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize,
        bytes.len()
    );
    assert_eq!(bytes[20..24], 7u32.to_ne_bytes());
    assert_eq!(bytes[28..32], 0xffff_fff3u32.to_ne_bytes());
    assert_eq!(
        bytes[32..36],
        (2u32 << 16 | u32::from(3u16.to_be())).to_ne_bytes()
    );
    assert!(bytes.windows(7).any(|it| it == b"mirred\0"));
}
