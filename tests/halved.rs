//! One spectrum through the transformer by two threads, against PyTorch's numbers and the undivided pass.
#![cfg(feature = "cli")]

mod support;

use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use burn::tensor::{Device, Tensor};
use specola::nn::half::{Half, Partner, PartnerError};
use specola::nn::keyed::Keyed;
use specola::nn::masked_transformer::{MaskedTransformer, MaskedTransformerConfig};
use support::golden::{Io, distance, values, weights};

/// One end of two channels.
struct End(Sender<Vec<f32>>, Receiver<Vec<f32>>);

impl Partner for End {
    fn give(&self, numbers: &[f32]) -> Result<(), PartnerError> {
        self.0.send(numbers.to_vec()).map_err(|_| PartnerError::Numbers)
    }

    fn take(&self, count: usize) -> Result<Vec<f32>, PartnerError> {
        let numbers = self.1.recv().map_err(|_| PartnerError::Silent(0))?;
        if numbers.len() == count { Ok(numbers) } else { Err(PartnerError::Numbers) }
    }
}

fn network() -> MaskedTransformer {
    let config = MaskedTransformerConfig::lrs().with_embed_dim(48).with_num_layers(2).with_num_heads(3);
    let network = config.init(&Device::flex());
    network.loaded(&weights("lrs_mt_tiny"), "", &Device::flex()).expect("the network")
}

/// Spectra of so many pixels each, the first of PyTorch's.
fn spectra(pixels: usize) -> Tensor<2> {
    let x: Tensor<2> = Io::new("lrs_mt_tiny_io").tensor("x", &Device::flex());
    x.narrow(1, 0, pixels)
}

/// What each of two threads gets.
fn by_two(pixels: usize) -> [Vec<f64>; 2] {
    let (to_second, from_first) = channel();
    let (to_first, from_second) = channel();
    let half = |is_first, end| {
        thread::spawn(move || {
            let half = Half { is_first, partner: Rc::new(end) };
            values(network().embed_half(spectra(pixels), &half).expect("an embedding"))
        })
    };
    let halves = [half(true, End(to_second, from_second)), half(false, End(to_first, from_first))];
    halves.map(|half| half.join().expect("a thread"))
}

#[test]
fn two_halves_give_what_pytorch_gives() {
    let want = Io::new("lrs_mt_tiny_io").numbers("mean_embedding64");
    for got in by_two(1462) {
        assert!(distance(&got, &want) < 5e-5, "{}", distance(&got, &want));
    }
}

#[test]
fn two_halves_give_what_one_gives_for_any_number_of_tokens() {
    // 146, 5, 3, 2 tokens and one.
    for pixels in [1462, 52, 32, 22, 12] {
        let want = values(network().embed(spectra(pixels)));
        for got in by_two(pixels) {
            assert!(distance(&got, &want) < 1e-6, "{pixels} pixels: {}", distance(&got, &want));
        }
    }
}

#[test]
fn a_partner_that_is_gone_is_an_error() {
    let (to_nobody, _) = channel();
    let (_, from_nobody) = channel();
    let half = Half { is_first: true, partner: Rc::new(End(to_nobody, from_nobody)) };
    assert!(network().embed_half(spectra(1462), &half).is_err());
}
