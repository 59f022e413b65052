//! Token-parallel transformer on two threads, compared with `PyTorch` and with one thread.

use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::support::golden::{Io, distance, values, weights};
use burn::tensor::{Device, Tensor};
use specola::nn::masked_transformer::{MaskedTransformer, MaskedTransformerConfig};
use specola::nn::state_dict::StateDict;
use specola::nn::token_parallel::{Partner, PartnerError, TokenHalf};

/// One end of two channels.
struct End(Sender<Vec<f32>>, Receiver<Vec<f32>>);

impl Partner for End {
    fn send(&self, numbers: &[f32]) -> Result<(), PartnerError> {
        self.0.send(numbers.to_vec()).map_err(|_| PartnerError::Data)
    }

    fn receive(&self, count: usize) -> Result<Vec<f32>, PartnerError> {
        let numbers = self.1.recv().map_err(|_| PartnerError::Timeout(0))?;
        if numbers.len() == count { Ok(numbers) } else { Err(PartnerError::Data) }
    }
}

fn network() -> MaskedTransformer {
    let config = MaskedTransformerConfig::lrs().with_embed_dim(48).with_num_layers(2).with_num_heads(3);
    let network = config.init(&Device::flex());
    network.load(&weights("lrs_mt_tiny"), "", &Device::flex()).expect("the network")
}

/// `PyTorch`'s input spectra, the first `pixels` pixels.
fn spectra(pixels: usize) -> Tensor<2> {
    let x: Tensor<2> = Io::new("lrs_mt_tiny_io").tensor("x", &Device::flex());
    x.narrow(1, 0, pixels)
}

/// Embeddings from both threads.
fn embed_on_two_threads(pixels: usize) -> [Vec<f64>; 2] {
    let (to_second, from_first) = channel();
    let (to_first, from_second) = channel();
    let embed = |is_first, end| {
        thread::spawn(move || {
            let half = TokenHalf { is_first, partner: Rc::new(end) };
            values(network().embed_half(spectra(pixels), &half).expect("an embedding"))
        })
    };
    let halves = [embed(true, End(to_second, from_second)), embed(false, End(to_first, from_first))];
    halves.map(|thread| thread.join().expect("a thread"))
}

#[test]
fn two_threads_match_pytorch() {
    let expected = Io::new("lrs_mt_tiny_io").numbers("mean_embedding64");
    for got in embed_on_two_threads(1462) {
        assert!(distance(&got, &expected) < 5e-5, "{}", distance(&got, &expected));
    }
}

#[test]
fn two_threads_match_one_for_any_number_of_tokens() {
    // 146, 5, 3, 2 tokens and 1 token.
    for pixels in [1462, 52, 32, 22, 12] {
        let expected = values(network().embed(spectra(pixels)));
        for got in embed_on_two_threads(pixels) {
            assert!(distance(&got, &expected) < 1e-6, "{pixels} pixels: {}", distance(&got, &expected));
        }
    }
}

#[test]
fn closed_partner_is_an_error() {
    let (to_nobody, _) = channel();
    let (_, from_nobody) = channel();
    let half = TokenHalf { is_first: true, partner: Rc::new(End(to_nobody, from_nobody)) };
    assert!(network().embed_half(spectra(1462), &half).is_err());
}
