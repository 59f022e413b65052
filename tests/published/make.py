"""Writes the published folder with random weights at small widths (folder.zip), and its outputs (expected.json).

Usage: python make.py                (needs NumPy and SciPy; PyTorch is not used)
       python make.py --full DIR     the folder at the published widths, 1.0 GB, for measuring time and memory by hand

The outputs come from networks.py, an implementation in NumPy. This script first checks it against PyTorch's outputs in
../golden.
"""

import io
import json
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
from scipy.stats import norm, truncnorm

import torchfile
from networks import Weights, embed_lrs, embed_xp, flow, mlp, noise

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden"
RNG = np.random.default_rng(26)
N_SAMPLES, SEED = 10_000, 0x5BECC11B

LRS_MLP = {"a_fe": "afe", "c_fe": "cfe", "n_fe": "nfe", "mg_fe": "mgfe", "o_fe": "ofe", "al_fe": "alfe", "si_fe": "sife",
           "ca_fe": "cafe", "ti_fe": "tife", "mn_fe": "mnfe", "ni_fe": "nife", "cr_fe": "crfe", "fe_h": "feh",
           "e_bp_rp": "ebprp"}
LRS_SBI = {"dnu": "dnu", "nu_max": "numax", "mass": "mass", "rad": "rad", "age": "age", "rv": "rv", "dpi": "DP",
           "teff": "teff", "logg": "logg"}
XP_MLP = {"a_fe": "afe", "c_fe": "cfe", "n_fe": "nfe", "fe_h": "feh", "e_bp_rp": "ebprp"}
XP_SBI = {"teff": "teff", "logg": "logg"}
# Labels that are estimated from the embeddings of the split model.
SPLIT = {("lrs", "fe_h"), ("lrs", "teff"), ("lrs", "logg"), ("lrs", "rv"), ("xp", "teff"), ("xp", "logg")}


def load_safetensors(name):
    """The weights in a safetensors file of ../golden."""
    data = (GOLDEN / f"{name}.safetensors").read_bytes()
    (n,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + n])
    dtypes = {"F32": "<f4", "I64": "<i8"}
    body = data[8 + n :]
    return Weights({
        key: np.frombuffer(body[slice(*entry["data_offsets"])], dtypes[entry["dtype"]]).reshape(entry["shape"])
        for key, entry in header.items() if key != "__metadata__"
    })


def normal(*shape, scale=1.0):
    return (scale * RNG.standard_normal(shape, dtype="f4")).astype("f4")


def dense(n_out, n_in):
    return {"weight": normal(n_out, n_in, scale=n_in**-0.5), "bias": normal(n_out, scale=0.1)}


def layer_norm(width):
    return {"weight": (1 + normal(width, scale=0.1)), "bias": normal(width, scale=0.1)}


def flatten(parts):
    """{'a.': {'b': array}} → {'a.b': array}."""
    return {f"{prefix}{name}": array for prefix, inner in parts.items() for name, array in inner.items()}


class Size:
    """Widths and numbers of heads: published if `full`, else small."""

    def __init__(self, full):
        self.width, self.hidden, self.inner = (768, 1290, 1160) if full else (16, 12, 24)
        self.layers, self.heads, self.branch_heads = (6, 6, (4, 4, 2)) if full else (2, 2, (4, 4, 2))
        self.split = (512, 256) if full else (12, 4)
        self.mlp = (1024, 512, 64) if full else (12, 8, 4)
        self.flow = 60 if full else 10


def lrs_backbone(size):
    e = size.width
    parts = {"data_embed.": dense(e, 21), "position_embed.": {"weight": normal(150, e, scale=0.2)},
             "final_layernorm.": layer_norm(e), "head.": dense(21, e)}
    for i in range(size.layers):
        parts |= {f"blocks.{i}.attention.q_proj.": dense(e, e), f"blocks.{i}.attention.kv_proj.": dense(2 * e, e),
                  f"blocks.{i}.attention.out_proj.": dense(e, e), f"blocks.{i}.ln1.": layer_norm(e),
                  f"blocks.{i}.ln2.": layer_norm(e), f"blocks.{i}.mlp.0.": dense(4 * e, e),
                  f"blocks.{i}.mlp.2.": dense(e, 4 * e)}
    return flatten(parts)


def xp_backbone(size):
    h, n_inputs = size.hidden, 345
    parts = {"input_proj.": dense(h, n_inputs), "bottleneck_down.": dense(size.width, h),
             "bottleneck_norm.": layer_norm(size.width), "bottleneck_up.": dense(h, size.width),
             "output_proj.": dense(n_inputs, h)}
    for side in ("encoder", "decoder"):
        for i in (0, 1):
            prefix = f"{side}_blocks.{i}."
            parts |= {f"{prefix}mlp.0.": dense(3 * h, h), f"{prefix}mlp.3.": dense(h, 3 * h), f"{prefix}norm.": layer_norm(h)}
    return flatten(parts)


def lrs_branch(name, attention, out, size):
    e = size.width
    is_packed = attention == "cross_attention"
    multihead = {"in_proj_bias": normal(3 * out, scale=0.1)}
    if is_packed:
        multihead["in_proj_weight"] = normal(3 * out, e, scale=e**-0.5)
    else:
        multihead |= {"q_proj_weight": normal(out, out, scale=out**-0.5), "k_proj_weight": normal(out, e, scale=e**-0.5),
              "v_proj_weight": normal(out, e, scale=e**-0.5)}
    return flatten({f"{attention}.": {"query": normal(1, 1, out)}, f"{attention}.multihead_attn.": multihead,
                 f"{attention}.multihead_attn.out_proj.": dense(out, out), f"{attention}.layernorm.": layer_norm(out),
                 f"{name}mlp.encoder.": dense(4 * out, out), f"{name}mlp.decoder.": dense(out, 4 * out)})


def xp_branch(name, out, size):
    return flatten({f"{name}projection.": dense(out, size.width), f"{name}feature_mlp.0.": dense(size.inner, out),
                 f"{name}feature_mlp.1.": layer_norm(size.inner), f"{name}feature_mlp.3.": dense(out, size.inner),
                 f"{name}feature_mlp.4.": layer_norm(out), f"{name}mlp.encoder.": dense(4 * out, out),
                 f"{name}mlp.decoder.": dense(out, 4 * out)})


def clip(size, backbones, is_split, full):
    lrs, xp = {}, {}
    if is_split:
        for name, out in zip(("shared_", "private_"), size.split):
            lrs |= lrs_branch(name, f"{name}attention", out, size)
            xp |= xp_branch(name, out, size)
    else:
        lrs |= lrs_branch("", "cross_attention", size.width, size)
        xp |= xp_branch("", size.width, size)
    weights = flatten({"lamost_lrs_encoder.backbone.": backbones[0], "lamost_lrs_encoder.": lrs,
                    "gaia_xp_encoder.backbone.": backbones[1], "gaia_xp_encoder.": xp})
    if full:
        widths = [512, 2048, 1024, 512, 343] if is_split else [768, 3072, 1536, 768, 343]
        for survey, widths in (("gaia_xp", widths), ("lamost_lrs", [widths[0], *[widths[1]] * 3, 1462])):
            for i, (a, b) in enumerate(zip(widths, widths[1:])):
                weights |= flatten({f"{survey}_cross_decoder.decoder.{4 * i}.": dense(b, a)})
    return Weights(weights)


def clip_file(weights, size):
    num_heads = lambda n: {"num_heads": n}
    heads = size.branch_heads
    hyper = {"temperature": 15.5,
             "gaia_xp_encoder": {"backbone": {"hp": {"seq_len": 343}}},
             "lamost_lrs_encoder": {"backbone": {"hp": {"num_heads": size.heads, "slice_overlap": 10}},
                                    "cross_attention": {"multihead_attn": num_heads(heads[0])},
                                    "shared_attention": {"multihead_attn": num_heads(heads[1])},
                                    "private_attention": {"multihead_attn": num_heads(heads[2])}}}
    return torchfile.checkpoint({"epoch": 110, "state_dict": dict(weights), "hyper_parameters": hyper})


def mlp_weights(size):
    widths = [size.width, *size.mlp, 1]
    parts = {}
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        parts[f"network.{4 * i}."] = dense(b, a)
        if i < 3:
            parts[f"network.{4 * i + 1}."] = layer_norm(b) | {
                "running_mean": normal(b, scale=0.2), "running_var": 0.5 + RNG.random(b, dtype="f4"),
                "num_batches_tracked": np.array(7, "i8")}
    return Weights(flatten(parts))


def stats(size):
    return {"mean": normal(size.width, scale=0.3).tolist(), "std": (0.5 + RNG.random(size.width, dtype="f4")).tolist()}


def flow_weights(size, is_maf):
    h = size.flow
    parts = {"_embedding_net.0.": {"_mean": normal(size.width, scale=0.3), "_std": 0.5 + RNG.random(size.width, dtype="f4")},
             "_transform._transforms.0.": {"_scale": np.array([1.2], "f4"), "_shift": np.array([-0.1], "f4")}}
    for k in (0, 1):
        if is_maf:
            prefix = f"_transform._transforms.{2 * k + 1}.autoregressive_net."
            masked = lambda out, width, value: dense(out, width) | {"mask": np.full((out, width), value, "f4")}
            parts |= {f"{prefix}initial_layer.": masked(h, 1, 0), f"{prefix}context_layer.": dense(h, size.width),
                      f"{prefix}blocks.0.linear.": masked(h, h, 1), f"{prefix}blocks.1.linear.": masked(h, h, 1),
                      f"{prefix}final_layer.": masked(2, h, 1),
                      f"_transform._transforms.{2 * k + 2}.": {"_permutation": np.zeros(1, "i8")}}
        else:
            prefix = f"_transform._transforms.{k + 1}."
            parts |= {prefix: {"identity_features": np.zeros(0, "i8"), "transform_features": np.zeros(1, "i8")},
                      f"{prefix}transform_net.spline_predictor.0.": dense(h, size.width),
                      f"{prefix}transform_net.spline_predictor.2.": dense(h, h),
                      f"{prefix}transform_net.spline_predictor.4.": dense(29, h)}
    return Weights(flatten(parts))


# Mean and standard deviation of each label.
LABEL_STATS = {"dnu": (60.0, 30.0), "nu_max": (700.0, 400.0), "mass": (1.2, 0.3), "rad": (7.0, 3.0), "age": (5.0, 3.0),
         "rv": (-10.0, 60.0), "dpi": (120.0, 80.0), "teff": (5200.0, 700.0), "logg": (3.2, 0.9)}
# Forms in which sbi's files pickle a mean or a standard deviation.
PICKLED_FORMS = [lambda v: np.array([v], "f4"), lambda v: np.array([v], "f8"), lambda v: float(v),
                 lambda v: torchfile.embedded(np.array([v], "f4")), lambda v: np.float64(v), lambda v: [float(v)]]


def sbi_head(size, label, order):
    """A flow as pickled, and as (weights, mean, std, prior).

    The prior of Δν is a box; the flow of Teff is a spline flow.
    """
    weights = flow_weights(size, label != "teff")
    mean, std = LABEL_STATS[label]
    prior = (-1.0, 0.75) if label == "dnu" else None
    form = PICKLED_FORMS[order % len(PICKLED_FORMS)]
    names = ("mean", "std") if order % 2 else ("means", "stds")
    stats = dict(zip(names, (form(mean), form(std))))
    return torchfile.inference({f"net.{k}": v for k, v in weights.items()}, prior, **stats), (weights, mean, std, prior)


def sbi_value(head, x):
    """Median and standard deviation of the seeded samples, checked against the exact values."""
    weights, mean, std, prior = head
    low, high = prior or (-np.inf, np.inf)
    accepted, seed = np.zeros(0), SEED
    while len(accepted) < N_SAMPLES:
        theta, is_maf = flow(weights, x, noise(seed, N_SAMPLES))
        accepted = np.concatenate([accepted, theta[(theta >= low) & (theta <= high)]])[:N_SAMPLES]
        seed += 1
    if is_maf:
        # For one label, a MAF is a normal distribution.
        (centre, centre_plus_sigma), _ = flow(weights, x, np.array([0.0, 1.0]))
        scale = centre_plus_sigma - centre
        exact = truncnorm((low - centre) / scale, (high - centre) / scale, centre, scale) if prior else norm(centre, scale)
        median, sigma = exact.median(), exact.std()
    else:
        z = np.linspace(-7, 7, 20_001)
        density = np.exp(-0.5 * z**2)
        theta, _ = flow(weights, x, z)
        median = flow(weights, x, np.zeros(1))[0][0]
        centre = np.average(theta, weights=density)
        sigma = np.sqrt(np.average((theta - centre) ** 2, weights=density))
    assert abs(np.median(accepted) - median) < (0.05 if prior else 1e-3) * sigma and abs(accepted.std() / sigma - 1) < 0.05
    theta = accepted * std + mean
    return [float(np.median(theta)), float(theta.std())]


def config():
    entry = lambda path, label, method, stats: {"path": path, "parameters": [label], "method": method, "stats": stats}
    mlps = lambda s, labels, stats_files={}: {
        stem: entry(f"downstream_models/{s}/mlp/{stem}.pt", label, "MLP", stats_files.get(label, f"stats/{s}/{stem}_mean_std.json"))
        for label, stem in labels.items()}
    flows = lambda s, labels: {stem: entry(f"downstream_models/{s}/sbi/{stem}.pkl", label, "SBI", None)
                               for label, stem in labels.items()}
    models = {name: {"path": f"specclip/{name}.ckpt"} for name in ("specclip_model_predrecon_mlp", "specclip_model_split_mlp")}
    return {"version": "1.0.0", "founation_models": {
        "encoders": {"lrs_encoder": {"path": "encoders/lrs_encoder.ckpt"}},
        "specclip_models": models,
        "parameter_estimation": {
            "lamost_lrs": {"sbi": flows("lrs", LRS_SBI), "mlp": mlps("lrs", LRS_MLP)},
            "gaia_xp": {"mlp": mlps("xp", XP_MLP, {"fe_h": "stats/xp/FeH_mean_std.json"})},
            "sbi": flows("xp", XP_SBI)}}}


def build(full, write):
    """Writes every file with write(path, bytes); returns the sizes, the two models and all heads."""
    size = Size(full)
    backbones = lrs_backbone(size), xp_backbone(size)
    models = {}
    for key, is_split in (("predrecon", False), ("split", True)):
        models[key] = clip(size, backbones, is_split, full)
        write(f"specclip/specclip_model_{key}_mlp.ckpt", clip_file(models[key], size))
        if full:
            del models[key]
    heads = {}
    for survey, labels in (("lrs", LRS_MLP), ("xp", XP_MLP)):
        for label, stem in labels.items():
            weights, input_stats = mlp_weights(size), stats(size)
            heads[survey, label] = weights, input_stats
            file = {"epoch": 3, "model_state_dict": dict(weights), "val_loss": 0.1}
            write(f"downstream_models/{survey}/mlp/{stem}.pt", torchfile.checkpoint(file))
            write(f"stats/{survey}/{stem}_mean_std.json", json.dumps(input_stats).encode())
    for survey, labels in (("lrs", LRS_SBI), ("xp", XP_SBI)):
        for order, (label, stem) in enumerate(labels.items()):
            file, heads[survey, label] = sbi_head(size, label, order)
            write(f"downstream_models/{survey}/sbi/{stem}.pkl", file)
    write("config.json", json.dumps(config(), indent=1).encode())
    return size, models, heads


def expected_values(survey, heads, pr, split):
    """Every label of a survey from its embeddings: [value], or [median, standard deviation] of a flow.

    Also the values of the MLPs without the statistics of their inputs.
    """
    values, raw_values = {}, {}
    for (s, label), head in heads.items():
        if s != survey:
            continue
        x = split if (survey, label) in SPLIT else pr
        if len(head) == 2:
            weights, input_stats = head
            values[label] = [float(mlp(weights, (x - np.array(input_stats["mean"])) / np.array(input_stats["std"])))]
            raw_values[label] = float(mlp(weights, x))
        else:
            values[label] = sbi_value(head, x)
    return {"values": values, "without_statistics": raw_values}


def check_against_pytorch():
    """Compares networks.py with the outputs in ../golden; returns PyTorch's embeddings of the LRS spectra."""
    pr, split = load_safetensors("clip_pr_tiny"), load_safetensors("clip_split_tiny")
    io_pr, io_split = np.load(GOLDEN / "clip_pr_tiny_io.npz"), np.load(GOLDEN / "clip_split_tiny_io.npz")
    close = lambda got, expected: np.testing.assert_allclose(got, expected, atol=1e-6)
    golden = []
    for row in range(4):
        x, y = io_pr["x_lrs"][row].astype(float), io_pr["x_xp"][row].astype(float)
        close(embed_lrs(pr, x, (2, 4)), io_pr["lamost_f64"][row])
        close(embed_xp(pr, y), io_pr["gaia_f64"][row])
        x, y = io_split["x_lrs"][row].astype(float), io_split["x_xp"][row].astype(float)
        shared_and_private = np.concatenate([io_split[f"lamost_{part}_f64"][row] for part in ("shared", "private")])
        close(embed_lrs(split, x, (2, 4, 2)), shared_and_private)
        close(embed_xp(split, y), np.concatenate([io_split[f"gaia_{part}_f64"][row] for part in ("shared", "private")]))
        golden.append((io_pr["lamost_f64"][row], shared_and_private))
    for name in ("maf1d", "nsf1d"):
        io_flow, weights = np.load(GOLDEN / f"{name}_tiny_io.npz"), load_safetensors(f"{name}_tiny").at("net.")
        for row in range(3):
            samples, _ = flow(weights, io_flow["x"][row].astype(float), io_flow["z"][:, 0].astype(float))
            np.testing.assert_allclose(samples, io_flow["samples_from_z_f64"][row, :, 0], atol=2e-6)
    io_mlp = np.load(GOLDEN / "mlp_tiny_io.npz")
    close(mlp(load_safetensors("mlp_bn_tiny"), io_mlp["x"][0].astype(float)), io_mlp["out_bn_f64"][0, 0])
    return golden


def main():
    if sys.argv[1:2] == ["--full"]:
        folder = Path(sys.argv[2])

        def write(path, data):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)

        build(True, write)
        return
    golden = check_against_pytorch()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        write = lambda path, data: archive.writestr(zipfile.ZipInfo(path), data, zipfile.ZIP_DEFLATED)
        size, models, heads = build(False, write)
    (HERE / "folder.zip").write_bytes(buffer.getvalue())
    pr, split = models["predrecon"], models["split"]
    lrs, xp = np.load(GOLDEN / "preprocess_lrs.npz"), np.load(GOLDEN / "preprocess_xp.npz")
    expected = {"lrs": {}, "golden_lrs": []}
    for case in ("solar_f64", "solar_f32wave", "hot_f64"):
        x = lrs[f"{case}/norm1462"]
        branch = size.branch_heads
        embeddings = embed_lrs(pr, x, (size.heads, branch[0])), embed_lrs(split, x, (size.heads, *branch[1:]))
        expected["lrs"][case] = expected_values("lrs", heads, *embeddings)
    x = xp["norm343"]
    expected["xp"] = expected_values("xp", heads, embed_xp(pr, x), embed_xp(split, x))
    # The same heads on PyTorch's embeddings in ../golden.
    expected["golden_lrs"] = [expected_values("lrs", heads, *row) for row in golden]
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


main()
