//! Captures of packets: the pcap filter language compiled to classic BPF, and pcapng files. Plain data and pure functions;
//! sockets are their users'.

pub mod filter;
