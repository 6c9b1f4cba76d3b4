//! Two columns: a name and one sentence about it.

use super::style::Style;

/// One line for each row, the names aligned.
#[must_use]
pub fn render(rows: &[(String, String)], style: &Style) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, about) in rows {
        let name = style.path(&format!("{name:<width$}"));
        text.push_str(format!("{name}  {about}").trim_end());
        text.push('\n');
    }
    style.plain(&text)
}
