//! Durations and sizes for people.

/// A duration in seconds: `0.31 s`, `12 s`, `3m 04s`, `2h 05m`, `4d 3h`.
pub fn duration(seconds: f64) -> String {
    // Durations are small and positive; the cast saturates.
    let whole = seconds as u64;
    match whole {
        0..10 => format!("{seconds:.2} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{}m {:02}s", whole / 60, whole % 60),
        3600..86400 => format!("{}h {:02}m", whole / 3600, whole % 3600 / 60),
        _ => format!("{}d {}h", whole / 86400, whole % 86400 / 3600),
    }
}

/// Bits in a second: `0`, `800 bit/s`, `1.5 Mbit/s`.
pub fn bits(rate: f64) -> String {
    const UNITS: [&str; 5] = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"];
    if rate < 1.0 {
        return "0".to_owned();
    }
    let (mut value, mut unit) = (rate, 0);
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{value:.0} {}", UNITS[unit]),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

/// How many of something there are: `1 node`, `2 nodes`.
pub fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

/// A size in bytes: `512 B`, `1.5 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_read_well() {
        assert_eq!(duration(0.314), "0.31 s");
        assert_eq!(duration(184.0), "3m 04s");
        assert_eq!(duration(90061.0), "1d 1h");
        assert_eq!(bits(0.0), "0");
        assert_eq!(bits(800.0), "800 bit/s");
        assert_eq!(bits(1_500_000.0), "1.5 Mbit/s");
        assert_eq!(count(1, "node"), "1 node");
        assert_eq!(count(0, "node"), "0 nodes");
        assert_eq!(size(512), "512 B");
        assert_eq!(size(1_572_864), "1.5 MiB");
    }
}
