//! Plots, as SVG.

use benches::statistics::Estimate;
use hdrhistogram::Histogram;
use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::coord::combinators::IntoLogRange;
use plotters::drawing::IntoDrawingArea;
use plotters::element::{PathElement, Rectangle, Text};
use plotters::series::LineSeries;
use plotters::style::{BLACK, Color, Palette, Palette99, RGBColor, ShapeStyle, WHITE};

use std::error::Error;
use std::path::Path;

type Drawn = Result<(), Box<dyn Error>>;

const WIDTH: u32 = 900;
const FONT: (&str, u32) = ("sans-serif", 15);
/// The note at the foot: the machine and the build.
const NOTE: (&str, u32) = ("sans-serif", 11);
const OURS: RGBColor = RGBColor(31, 83, 155);
const PEERS: RGBColor = RGBColor(150, 156, 164);
const TITLE: (&str, u32) = ("sans-serif", 18);

/// Draws one curve for each histogram, over percentiles; both axes are logarithmic.
pub(crate) fn percentiles(
    path: &Path,
    (title, machine): (&str, &str),
    histograms: &[(&str, &Histogram<u64>)],
) -> Drawn {
    // One in this many events is slower.
    const RARITIES: [f64; 5] = [2.0, 10.0, 100.0, 1_000.0, 10_000.0];
    let shown = histograms.iter().filter(|(_, histogram)| !histogram.is_empty());
    let most = shown.clone().map(|(_, histogram)| histogram.max()).max().unwrap_or(1) as f64;
    let area = SVGBackend::new(path, (WIDTH, 560)).into_drawing_area();
    area.fill(&WHITE)?;
    let (area, foot) = area.split_vertically(540);
    foot.draw(&Text::new(machine.to_owned(), (16, 2), NOTE))?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, TITLE)
        .margin(12)
        .margin_right(36)
        .x_label_area_size(42)
        .y_label_area_size(70)
        .build_cartesian_2d((1.0..10_000.0_f64).log_scale(), (10.0..most * 1.5).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("percentile")
        .y_desc("nanoseconds")
        .x_labels(5)
        .x_label_formatter(&|rarity| format!("{}", ((1.0 - 1.0 / rarity) * 1e6).round() / 1e4))
        .y_label_formatter(&|value| format!("{value}"))
        .label_style(FONT)
        .light_line_style(WHITE)
        .draw()?;
    for (index, (name, histogram)) in shown.enumerate() {
        let style = ShapeStyle::from(Palette99::pick(index).to_rgba()).stroke_width(2);
        // The curve ends at the last percentile that has enough values.
        let last = (histogram.len() as f64).min(RARITIES[RARITIES.len() - 1]);
        let steps =
            (0..=160).map(|step| 10_f64.powf(f64::from(step) / 40.0)).take_while(|rarity| *rarity <= last);
        let points = steps.map(|rarity| {
            let value = histogram.value_at_quantile(1.0 - 1.0 / rarity);
            (rarity, (value as f64).max(10.0))
        });
        chart
            .draw_series(LineSeries::new(points, style))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .label_font(FONT)
        .draw()?;
    area.present()?;
    Ok(())
}

/// Draws one bar for each estimate, with its interval.
pub(crate) fn bars(
    path: &Path,
    (title, machine): (&str, &str),
    unit: &str,
    estimates: &[(&str, Estimate)],
) -> Drawn {
    const ROW: u32 = 26;
    const LABELS: i32 = 260;
    let most = estimates.iter().map(|(_, estimate)| estimate.high).fold(f64::MIN_POSITIVE, f64::max);
    let height = ROW * estimates.len() as u32 + 100;
    let area = SVGBackend::new(path, (WIDTH, height + 20)).into_drawing_area();
    area.fill(&WHITE)?;
    let (area, foot) = area.split_vertically(height);
    foot.draw(&Text::new(machine.to_owned(), (16, 2), NOTE))?;
    let rows = estimates.len() as f64;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, TITLE)
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(LABELS)
        .build_cartesian_2d(0.0..most * 1.08, rows..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc(unit)
        .x_label_formatter(&|value| format!("{value}"))
        .light_line_style(WHITE)
        .label_style(FONT)
        .draw()?;
    for (index, (name, estimate)) in estimates.iter().enumerate() {
        let (top, middle) = (index as f64 + 0.15, index as f64 + 0.5);
        let fill = if name.starts_with("buslane") { OURS } else { PEERS }.filled();
        let interval = ShapeStyle::from(BLACK).stroke_width(2);
        chart.draw_series([Rectangle::new([(0.0, top), (estimate.median, top + 0.7)], fill)])?;
        chart.draw_series([PathElement::new([(estimate.low, middle), (estimate.high, middle)], interval)])?;
        let row = chart.plotting_area().map_coordinate(&(0.0, index as f64 + 0.25));
        area.draw(&Text::new((*name).to_owned(), (16, row.1), FONT))?;
    }
    area.present()?;
    Ok(())
}
