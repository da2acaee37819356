//! The plain f64 twin of [`super`].

/// `out_t = table[ids_t]`.
pub fn gather(table: &[f64], ids: &[u32], width: usize) -> Vec<f64> {
    ids.iter().flat_map(|&id| table[id as usize * width..][..width].to_vec()).collect()
}

/// The gradient of a table of `rows` rows for the output gradient `dout`.
pub fn scatter_add(dout: &[f64], ids: &[u32], rows: usize, width: usize) -> Vec<f64> {
    let mut dtable = vec![0.0; rows * width];
    for (t, &id) in ids.iter().enumerate() {
        for j in 0..width {
            dtable[id as usize * width + j] += dout[t * width + j];
        }
    }
    dtable
}
