//! The plain f64 twin of [`super`].

/// `Σ x²`, with Neumaier's compensation: right to the last place whatever the order.
pub fn sum_of_squares(x: &[f64]) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0f64);
    for x in x {
        let square = x * x;
        let next = sum + square;
        let (large, small) = if sum >= square { (sum, square) } else { (square, sum) };
        lost += (large - next) + small;
        sum = next;
    }
    sum + lost
}
