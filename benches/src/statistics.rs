//! Medians and bootstrap intervals.

/// Returns the median; sorts the values.
///
/// # Panics
/// If there are no values.
#[must_use]
pub fn median(values: &mut [f64]) -> f64 {
    assert!(!values.is_empty(), "the median of no values");
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

/// A median, and its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
    /// The number of values.
    pub count: usize,
}

const RESAMPLES: usize = 4000;

impl Estimate {
    /// Returns the median of the values, with the percentile interval of a bootstrap. `None` for no
    /// values.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let mut medians: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                let mut resample: Vec<f64> =
                    (0..values.len()).map(|_| values[random.below(values.len())]).collect();
                median(&mut resample)
            })
            .collect();
        medians.sort_by(f64::total_cmp);
        let tail = RESAMPLES / 40;
        Some(Self {
            median: median(&mut values.to_vec()),
            low: medians[tail],
            high: medians[RESAMPLES - 1 - tail],
            count: values.len(),
        })
    }
}

/// A xorshift generator: the same resamples in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::{Estimate, median};

    #[test]
    fn median_returns_the_middle_value() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), 2.5);
    }

    #[test]
    fn interval_contains_its_median() {
        assert_eq!(Estimate::of(&[]), None);
        let values: Vec<f64> = (0..31).map(f64::from).collect();
        let Some(estimate) = Estimate::of(&values) else { unreachable!("there are values") };
        assert_eq!((estimate.median, estimate.count), (15.0, 31));
        assert!(estimate.low < 15.0 && estimate.low > 5.0);
        assert!(estimate.high > 15.0 && estimate.high < 25.0);
    }
}
