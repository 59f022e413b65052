//! Messages about the workers themselves: start-up, trainers, the GPU.

use serde::{Deserialize, Serialize};

use crate::result::ModelCard;

/// Time of a full batch through both networks of the default model, ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchTimes {
    /// On the GPU, with the transfer of the data there and back.
    pub gpu_ms: f64,
    /// On the CPU.
    pub cpu_ms: f64,
}

/// Device on which the engine computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backend {
    /// Name to show: "CPU, 1 worker".
    pub name: String,
}

/// Page → worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum WorkerRequest {
    /// To a trainer: train for the session at the attached port.
    Train,
    /// To the GPU engine: test the device and report.
    TestGpu,
    /// To the GPU engine: run the batches that arrive at the attached port.
    ServeGpu,
    /// To the CPU engine: send full batches to the GPU engine at the attached port.
    ConnectGpu,
    /// To the CPU engine: compute all batches itself again, also batches without a reply.
    DisconnectGpu,
}

/// Worker → page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum WorkerEvent {
    /// Weights are being downloaded.
    Loading {
        /// Item being downloaded.
        item: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The engine can predict.
    Ready {
        /// Device on which it computes.
        backend: Backend,
        /// Default model.
        model: Box<ModelCard>,
    },
    /// The engine cannot predict. Files can still be read and plotted.
    Unavailable {
        /// Reason and remedy.
        reason: String,
    },
    /// After [`WorkerRequest::TestGpu`]: speed of the GPU, or the reason why the GPU is not used.
    GpuTested {
        /// Result of the test.
        times: Result<BatchTimes, String>,
    },
    /// The GPU engine does not reply any more. The CPU engine computes all batches itself again.
    GpuLost {
        /// Reason.
        reason: String,
    },
}
