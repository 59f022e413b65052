//! Questions and answers, the same in a browser and natively.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use specola::nn::half::Half;

use crate::case::{Case, Job};

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum Question {
    /// Get ready; the first question.
    Start {
        /// Whether to compute with WebGPU.
        #[serde(default)]
        webgpu: bool,
    },
    /// Make a case ready and run it once.
    Open {
        /// The case.
        case: Case,
    },
    /// Run it so many times.
    Run {
        /// How many.
        repeats: u32,
    },
    /// Forget it.
    Close,
}

/// What is answered.
#[derive(Debug, Default, Serialize)]
pub struct Answer {
    /// On [`Question::Start`]: this engine's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// On [`Question::Open`]: what came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Vec<f32>>,
    /// On [`Question::Run`]: milliseconds of all runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<f64>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// An engine that is being measured.
#[derive(Default)]
pub struct Engine {
    device: Option<Device>,
    job: Option<Job>,
    /// Of a case that two share: which half is computed here.
    pub half: Option<Half>,
}

impl Engine {
    /// Answers a question in JSON, in JSON. `now_ms` is a clock.
    pub async fn answer(&mut self, question: &str, now_ms: impl Fn() -> f64) -> String {
        let answer = match serde_json::from_str(question) {
            Ok(question) => self.do_as_asked(question, now_ms).await,
            Err(why) => Err(format!("the question was not understood: {why}")),
        };
        let answer = answer.unwrap_or_else(|error| Answer { error: Some(error), ..Answer::default() });
        serde_json::to_string(&answer).unwrap_or_else(|why| format!("{{\"error\":\"{why}\"}}"))
    }

    async fn do_as_asked(&mut self, question: Question, now_ms: impl Fn() -> f64) -> Result<Answer, String> {
        match question {
            Question::Start { webgpu } => {
                self.device = Some(if webgpu { gpu().await? } else { Device::flex() });
                Ok(Answer { version: Some(env!("CARGO_PKG_VERSION").into()), ..Answer::default() })
            }
            Question::Open { case } => {
                let device = self.device.as_ref().ok_or("it was not started")?;
                // Two full-size encoders need not be in memory at once.
                self.job = None;
                let (job, outputs) = Job::open(case, device, self.half.as_ref()).await?;
                self.job = Some(job);
                Ok(Answer { outputs: Some(outputs), ..Answer::default() })
            }
            Question::Run { repeats } => {
                let job = self.job.as_mut().ok_or("no case is open")?;
                let begun = now_ms();
                for _ in 0..repeats {
                    job.run().await?;
                }
                Ok(Answer { ms: Some(now_ms() - begun), ..Answer::default() })
            }
            Question::Close => {
                self.job = None;
                Ok(Answer::default())
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
