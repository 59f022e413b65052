//! Loss curves over training steps, with a logarithmic vertical axis.

use plotters::prelude::*;

use super::Theme;

/// A named series of (step, loss).
#[derive(Debug, Clone)]
pub struct LossSeries {
    /// Name in the legend.
    pub name: String,
    /// Steps and losses; a loss that is not finite is omitted.
    pub points: Vec<(f64, f64)>,
}

/// SVG of loss against step, 640 × 400 px; `None` without two points.
///
/// The loss of a density may be negative and then has no logarithm; the axis is linear in this case.
pub fn losses(title: &str, series: &[LossSeries]) -> Option<String> {
    let theme = Theme::paper();
    let finite_points = || series.iter().flat_map(|s| &s.points).filter(|p| p.1.is_finite());
    let last = finite_points().map(|p| p.0).fold(0.0, f64::max);
    let (low, high) = finite_points().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), p| (l.min(p.1), h.max(p.1)));
    if finite_points().count() < 2 || last <= 0.0 {
        return None;
    }
    let is_log = low > 0.0;
    let axis_value = |v: f64| if is_log { v.log10() } else { v };
    let (low, high) = (axis_value(low), axis_value(high));
    let margin = 0.05 * (high - low).max(0.02);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (640, 400)).into_drawing_area();
        let colours = [theme.data, theme.continuum, theme.model].map(|(r, g, b)| RGBColor(r, g, b));
        root.fill(&WHITE).ok()?;
        let mut chart = ChartBuilder::on(&root)
            .caption(title, ("sans-serif", 16))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..last, low - margin..high + margin)
            .ok()?;
        chart
            .configure_mesh()
            .x_desc("step")
            .y_desc("loss")
            .y_label_formatter(&|v| format!("{:.3}", if is_log { 10f64.powf(*v) } else { *v }))
            .light_line_style(WHITE)
            .draw()
            .ok()?;
        for (i, one) in series.iter().enumerate() {
            let colour = colours[i % colours.len()];
            let points = one.points.iter().filter(|p| p.1.is_finite()).map(|p| (p.0, axis_value(p.1)));
            let annotated = chart.draw_series(LineSeries::new(points, colour.stroke_width(2))).ok()?;
            annotated
                .label(&one.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw().ok()?;
        root.present().ok()?;
    }
    Some(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_has_both_series_and_too_few_points_have_none() {
        let loss_series = |name: &str, f: fn(f64) -> f64| LossSeries {
            name: name.into(),
            points: (1..20).map(|i| (f64::from(i), f(f64::from(i)))).collect(),
        };
        let svg = losses("masked", &[loss_series("training", |x| 1.0 / x), loss_series("held out", |x| 1.2 / x)])
            .expect("an SVG");
        assert!(svg.starts_with("<svg") && svg.contains("training") && svg.contains("held out"));
        assert!(svg.matches("<polyline").count() >= 2);
        assert!(losses("nothing", &[]).is_none());
    }
}
