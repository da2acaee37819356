//! cuBLASLt: how each product is computed is asked once for its shape, and kept.

use std::{collections::HashMap, ffi::c_void, path::Path};

use cudarc::cublaslt::{
    result::{self, CublasError},
    sys,
};

use super::matmul::Product;
use crate::error::Error;

/// Scratch that an algorithm may use.
pub(super) const WORKSPACE_BYTES: usize = 32 << 20;
/// The library's file.
const FILE: &str = "libcublasLt.so.13";
/// What every matrix starts at a multiple of, so that no algorithm expects more.
const ALIGNMENT_BYTES: u32 = 16;

/// What to do without the library.
pub(super) const MISSING: &str = "there is no libcublasLt; install the CUDA toolkit, or \
                                  `pip install nvidia-cublas` in the active Python environment";

/// Loads the library from `folder` if it is there; then says whether there is one, there or wherever the
/// system's loader looks.
///
/// # Errors
/// [`Error::Driver`] if `folder` holds one that does not load.
pub(super) fn find(folder: Option<&Path>) -> Result<bool, Error> {
    if let Some(path) = folder.map(|folder| folder.join(FILE)).filter(|path| path.exists()) {
        // SAFETY: loading runs the library's initialisers; the caller names NVIDIA's own library, and the
        // handle is leaked, so nothing of it is ever unloaded while in use.
        let library = unsafe { libloading::Library::new(path) };
        let failed =
            |error: libloading::Error| Error::driver("loading cuBLASLt", error.to_string());
        std::mem::forget(library.map_err(failed)?);
    }
    // SAFETY: the probe only asks the loader whether the library is there; it calls nothing.
    Ok(unsafe { sys::is_culib_present() })
}

/// A handle, its scratch and its plans. They live as long as the context and are never freed.
#[derive(Debug)]
pub(super) struct Blas {
    handle: sys::cublasLtHandle_t,
    workspace: u64,
    plans: HashMap<Product, Plan>,
}

/// How one product is computed. The library's rows are our columns, so it computes `Cᵀ = Bᵀ Aᵀ`.
#[derive(Debug, Clone, Copy)]
struct Plan {
    description: sys::cublasLtMatmulDesc_t,
    a: sys::cublasLtMatrixLayout_t,
    b: sys::cublasLtMatrixLayout_t,
    c: sys::cublasLtMatrixLayout_t,
    algorithm: sys::cublasLtMatmulAlgo_t,
}

// SAFETY: the handle and the descriptions are not tied to a thread; the one owner is behind a lock,
// so no two threads use them at once.
unsafe impl Send for Blas {}

/// A matrix stored row-major as `[rows, cols]`, in the library's order.
fn layout(
    element: sys::cudaDataType,
    [rows, cols]: [u32; 2],
) -> Result<sys::cublasLtMatrixLayout_t, CublasError> {
    result::create_matrix_layout(element, cols.into(), rows.into(), cols.into())
}

impl Plan {
    fn new(handle: sys::cublasLtHandle_t, product: &Product) -> Result<Self, CublasError> {
        use sys::{cublasLtMatmulDescAttributes_t as Attribute, cudaDataType_t as Data};
        let Product { rows, cols, inner, transposed, .. } = *product;
        let compute = sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let description = result::create_matmul_desc(compute, Data::CUDA_R_32F)?;
        let attributes =
            [Attribute::CUBLASLT_MATMUL_DESC_TRANSB, Attribute::CUBLASLT_MATMUL_DESC_TRANSA];
        for (attribute, transposed) in attributes.into_iter().zip(transposed) {
            // CUBLAS_OP_N and CUBLAS_OP_T.
            let operation = i32::from(transposed);
            // SAFETY: the description was just made; the attribute is an i32, copied by the call.
            unsafe {
                let value: *const i32 = &operation;
                result::set_matmul_desc_attribute(description, attribute, value.cast(), 4)
            }?;
        }
        let order = |shape: [u32; 2], flip| if flip { [shape[1], shape[0]] } else { shape };
        let output = if product.f32_output { Data::CUDA_R_32F } else { Data::CUDA_R_16BF };
        let a = layout(Data::CUDA_R_16BF, order([rows, inner], transposed[0]))?;
        let b = layout(Data::CUDA_R_16BF, order([inner, cols], transposed[1]))?;
        let c = layout(output, [rows, cols])?;
        let preference = preference()?;
        // SAFETY: all of these were made above and none was destroyed.
        let found = unsafe {
            result::get_matmul_algo_heuristic(handle, description, b, a, c, c, preference)
        };
        // SAFETY: the preference was made above and is not used again.
        unsafe { result::destroy_matmul_pref(preference) }?;
        Ok(Self { description, a, b, c, algorithm: found?.algo })
    }
}

fn preference() -> Result<sys::cublasLtMatmulPreference_t, CublasError> {
    use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
    let preference = result::create_matmul_pref()?;
    let bytes: *const usize = &WORKSPACE_BYTES;
    let workspace = Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
    // SAFETY: the preference was just made; the attribute is 8 bytes, copied by the call.
    unsafe { result::set_matmul_pref_attribute(preference, workspace, bytes.cast(), 8) }?;
    // Where a product's terms are cut in parts, their sums are kept in f32. The library's default would
    // also let them be kept, and added up, as C is stored: in bf16, each of them rounded.
    let reduction = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE as u32;
    for (attribute, value) in [
        (Attribute::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reduction),
        (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, ALIGNMENT_BYTES),
        (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, ALIGNMENT_BYTES),
        (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, ALIGNMENT_BYTES),
        (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, ALIGNMENT_BYTES),
    ] {
        let value: *const u32 = &value;
        // SAFETY: the preference was just made; the attribute is a u32, copied by the call.
        unsafe { result::set_matmul_pref_attribute(preference, attribute, value.cast(), 4) }?;
    }
    Ok(preference)
}

impl Blas {
    /// Opens the library on the current context, with a scratch of [`WORKSPACE_BYTES`] there.
    pub(super) fn open(workspace: u64) -> Result<Self, String> {
        if !find(None).map_err(|error| error.to_string())? {
            return Err(MISSING.into());
        }
        let handle = result::create_handle().map_err(|error| error.to_string())?;
        Ok(Self { handle, workspace, plans: HashMap::new() })
    }

    /// # Safety
    /// The addresses of A, B and C hold matrices of the product's sizes on the current context, and
    /// C overlaps neither other one.
    pub(super) unsafe fn multiply(
        &mut self,
        product: Product,
        [a, b, c]: [u64; 3],
        stream: *mut c_void,
    ) -> Result<(), String> {
        let plan = match self.plans.get(&product) {
            Some(plan) => *plan,
            None => {
                let plan = Plan::new(self.handle, &product);
                let plan =
                    plan.map_err(|error| format!("no way to compute {product:?}: {error}"))?;
                self.plans.insert(product, plan);
                plan
            }
        };
        let (one, beta) = (1.0f32, if product.add { 1.0f32 } else { 0.0 });
        let (alpha, beta): (*const f32, *const f32) = (&one, &beta);
        // SAFETY: the caller vouches for the matrices; the plan's parts are never destroyed; both
        // factors live on this stack, and are read before the call is back.
        let done = unsafe {
            result::matmul(
                self.handle,
                plan.description,
                alpha.cast(),
                beta.cast(),
                b as *const c_void,
                plan.b,
                a as *const c_void,
                plan.a,
                c as *const c_void,
                plan.c,
                c as *mut c_void,
                plan.c,
                &plan.algorithm,
                self.workspace as *mut c_void,
                WORKSPACE_BYTES,
                stream.cast(),
            )
        };
        done.map_err(|error| format!("{product:?}: {error}"))
    }
}
