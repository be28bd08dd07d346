use std::collections::HashSet;

use super::*;

#[test]
fn every_type_is_found_by_its_name_and_says_what_it_is() {
    let mut seen = HashSet::new();
    for sort in sorts() {
        assert!(seen.insert(sort.name), "{} is there twice", sort.name);
        assert_eq!(super::sort(sort.name).map(|it| it.name), Some(sort.name));
        assert!(!sort.about.is_empty() && !sort.module.is_empty() && !sort.config.is_empty());
        let keys = Keys::describe(|keys| {
            Device::read(sort, keys);
        });
        let names: HashSet<_> = keys.iter().map(|key| key.name).collect();
        assert_eq!(names.len(), keys.len(), "{} asks for a key twice", sort.name);
        for key in &keys {
            assert!(
                key.about.ends_with('.') || key.about.ends_with(':'),
                "{}.{}",
                sort.name,
                key.name
            );
        }
    }
}

#[test]
fn attributes_are_encoded_as_the_kernel_reads_them() {
    let attributes = [
        Attribute::U16(1, 100),
        Attribute::Be16(5, 0x8100),
        Attribute::Nest(2, vec![Attribute::U8(1, 7)]),
    ];
    let expected = [
        &6u16.to_ne_bytes()[..],
        &1u16.to_ne_bytes(),
        &100u16.to_ne_bytes(),
        &[0, 0],
        &6u16.to_ne_bytes(),
        &5u16.to_ne_bytes(),
        &[0x81, 0, 0, 0],
        &12u16.to_ne_bytes(),
        &(2u16 | 0x8000).to_ne_bytes(),
        &5u16.to_ne_bytes(),
        &1u16.to_ne_bytes(),
        &[7, 0, 0, 0],
    ]
    .concat();
    assert_eq!(encode(&attributes), expected);
}

#[test]
fn secrets_are_in_no_label_and_no_debugging_output() {
    let key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
    let device = Device::Wireguard(wireguard::Wireguard {
        private_key: Some(Secret(key.as_bytes().to_vec())),
        listen_port: None,
        fwmark: None,
        peers: Vec::new(),
    });
    let shown = format!("{} {device:?}", device.label());
    assert!(!shown.contains("121") && !shown.contains(key), "{shown}");
}
