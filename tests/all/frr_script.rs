//! FRR's own script in a node, whose askers may die, stop or lie.

use crate::common;

use common::{Lab, has_frr, until};

/// Whoever asks, and however they end: the next one is answered.
#[test]
fn nobody_waits_for_askers_that_died() {
    if !has_frr() {
        return;
    }
    let lab = Lab::up(
        "name = \"askers\"\n[nodes.r]\nkind = \"router\"\nengine = \"frr\"\nconfig = \"router bgp 65000\\n\"\n",
    );
    let answered = || {
        let command = "timeout 60 /usr/lib/frr/frrinit.sh restart";
        let said = lab.sh("r", command);
        assert!(said.contains("Started watchfrr"), "{said}");
    };
    // At any step of asking.
    lab.sh(
        "r",
        "for i in 0 1 2 3 4 5 6 7 8 9; do timeout -s KILL 0.00$i /usr/lib/frr/frrinit.sh reload; \
         timeout -s KILL 0.0$i /usr/lib/frr/frrinit.sh reload; done >/dev/null 2>&1; true",
    );
    answered();
    // FIFOs that nobody reads, of processes that live and that do not, and what nobody should say.
    lab.sh(
        "r",
        "cd /run/nslab.frr && mkfifo answer.1 answer.4194303 && { echo 'reload 1'; echo 'reload 4194303'; \
         echo 'reload ../x'; echo rubbish; head -c 5000 /dev/zero | tr '\\0' x; echo; } > asked",
    );
    answered();
    lab.sh(
        "r",
        "timeout -s INT 0.1 /usr/lib/frr/frrinit.sh reload; timeout 0.1 /usr/lib/frr/frrinit.sh reload; true",
    );
    answered();
    // What was left is removed, but for that of a process that lives.
    assert_eq!(lab.sh("r", "cd /run/nslab.frr && ls -d answer.*"), "answer.1\n");
    until("bgpd", || lab.run(["exec", "r", "pidof", "bgpd"]).code == 0);
}
