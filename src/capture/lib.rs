//! Captures of packets: the pcap filter language compiled to classic BPF, pcapng files, packets in a line, and packets of many
//! sources in order. Plain data and pure functions; sockets and files are their users'.

pub mod decode;
pub mod filter;
pub mod merge;
pub mod pcapng;
