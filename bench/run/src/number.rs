//! Numbers for people.

/// Three digits that count, and no more.
pub fn figure(value: f64) -> String {
    match value {
        ..1.0 => format!("{value:.3}"),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => grouped(value),
    }
}

/// A whole number, its digits in groups of three.
pub fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_in_groups_of_three() {
        let text = [0.4, 12.0, 999.6, 12_345.0, 1_234_567.0].map(grouped);
        assert_eq!(text, ["0", "12", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn a_figure_has_three_digits_that_count() {
        let text = [0.2934, 4.499, 15.58, 156.4, 5_104.2].map(figure);
        assert_eq!(text, ["0.293", "4.50", "15.6", "156", "5,104"]);
    }
}
