//! Commands and replies in JSON, for browser and native engine.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use specola::nn::token_parallel::TokenHalf;

use crate::case::{Case, Job};

/// A command.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub(crate) enum Command {
    /// Initialises the device. The first command.
    Start {
        /// Whether to compute with WebGPU.
        #[serde(default)]
        webgpu: bool,
    },
    /// Prepares a case and runs it once.
    Open {
        /// The case.
        case: Case,
    },
    /// Runs the open case repeatedly.
    Run {
        /// Number of runs.
        repeats: u32,
    },
    /// Closes the case.
    Close,
}

/// A reply.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Reply {
    /// On [`Command::Start`]: version of this engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// On [`Command::Open`]: the outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Vec<f32>>,
    /// On [`Command::Run`]: duration of all runs, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<f64>,
    /// Error text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The measured engine.
#[derive(Default)]
pub(crate) struct Engine {
    device: Option<Device>,
    job: Option<Job>,
    /// Half of a token-parallel case that this worker computes.
    pub half: Option<TokenHalf>,
}

impl Engine {
    /// Executes a command in JSON and returns the reply in JSON. `now_ms` is a clock, in ms.
    pub(crate) async fn reply(&mut self, command: &str, now_ms: impl Fn() -> f64) -> String {
        let reply = match serde_json::from_str(command) {
            Ok(command) => self.execute(command, now_ms).await,
            Err(why) => Err(format!("unreadable command: {why}")),
        };
        let reply = reply.unwrap_or_else(|error| Reply { error: Some(error), ..Reply::default() });
        serde_json::to_string(&reply).unwrap_or_else(|why| format!("{{\"error\":\"{why}\"}}"))
    }

    async fn execute(&mut self, command: Command, now_ms: impl Fn() -> f64) -> Result<Reply, String> {
        match command {
            Command::Start { webgpu } => {
                self.device = Some(if webgpu { gpu().await? } else { Device::flex() });
                Ok(Reply { version: Some(env!("CARGO_PKG_VERSION").into()), ..Reply::default() })
            }
            Command::Open { case } => {
                let device = self.device.as_ref().ok_or("the engine is not started")?;
                // Two full-size encoders need not be in memory at once.
                self.job = None;
                let (job, outputs) = Job::open(case, device, self.half.as_ref()).await?;
                self.job = Some(job);
                Ok(Reply { outputs: Some(outputs), ..Reply::default() })
            }
            Command::Run { repeats } => {
                let job = self.job.as_mut().ok_or("no case is open")?;
                let start = now_ms();
                for _ in 0..repeats {
                    job.run().await?;
                }
                Ok(Reply { ms: Some(now_ms() - start), ..Reply::default() })
            }
            Command::Close => {
                self.job = None;
                Ok(Reply::default())
            }
        }
    }
}

#[cfg(feature = "gpu")]
async fn gpu() -> Result<Device, String> {
    Device::wgpu_options().init_async().await.map_err(|why| why.to_string())
}

#[cfg(not(feature = "gpu"))]
async fn gpu() -> Result<Device, String> {
    Err("this engine was built without WebGPU".into())
}
