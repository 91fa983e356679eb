//! Tables in Markdown that can be read as they are, too.

/// A table; its first column is text, the others are figures.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<T: Into<String>>(head: impl IntoIterator<Item = T>) -> Self {
        let mut table = Self::default();
        table.row(head);
        table
    }

    pub(crate) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Prints it, with the line below the head that makes a table of it.
    pub(crate) fn print(&self) {
        let Some((head, body)) = self.rows.split_first() else {
            return;
        };
        println!("{}", self.line(head));
        let widths = (0..head.len()).map(|column| self.width(column));
        let rules = widths.enumerate().map(|(column, width)| match column {
            0 => "-".repeat(width + 2),
            _ => format!("{}:", "-".repeat(width + 1)),
        });
        println!("|{}|", rules.collect::<Vec<_>>().join("|"));
        for row in body {
            println!("{}", self.line(row));
        }
    }

    fn line(&self, row: &[String]) -> String {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = self.width(column);
            match column {
                0 => format!(" {cell:<width$} "),
                _ => format!(" {cell:>width$} "),
            }
        });
        format!("|{}|", cells.collect::<Vec<_>>().join("|"))
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

/// Writes a number with three digits that count, or with all of those before its point.
pub(crate) fn figure(number: f64) -> String {
    match number.abs() {
        _ if number.is_nan() => "–".to_owned(),
        size if size < 1.0 => format!("{number:.3}"),
        size if size < 10.0 => format!("{number:.2}"),
        size if size < 100.0 => format!("{number:.1}"),
        _ => thousands(number),
    }
}

/// Writes a number without what is behind its point.
pub(crate) fn whole(number: f64) -> String {
    if number.is_nan() {
        figure(number)
    } else {
        thousands(number)
    }
}

/// Writes a share in hundredths.
pub(crate) fn percent(share: f64) -> String {
    if share.is_nan() {
        return figure(share);
    }
    format!("{:.0} %", share * 100.0)
}

/// Writes the least and the most of some numbers.
pub(crate) fn spread(numbers: impl Iterator<Item = f64> + Clone) -> String {
    let least = numbers.clone().fold(f64::NAN, f64::min);
    let most = numbers.fold(f64::NAN, f64::max);
    if least.is_nan() {
        return figure(least);
    }
    format!("{}–{}", figure(least), figure(most))
}

fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_as_long_as_they_are_true() {
        let figures = [0.234, 2.346, 23.44, 234.5, 1_234_567.0, -1_234.0].map(figure);
        assert_eq!(
            figures,
            ["0.234", "2.35", "23.4", "234", "1,234,567", "-1,234"]
        );
        assert_eq!(figure(f64::NAN), "–");
    }
}
