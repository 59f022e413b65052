"""PyTorch's two file formats, written without PyTorch: the zip of torch.save, and sbi's pickle of older torch files.

Classes that are not installed are stood in for by empty ones of the same name, so the pickles name what the real ones name.
"""

import collections
import functools
import io
import pickle
import struct
import sys
import types
import zipfile

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
STORAGE = {"f4": "FloatStorage", "f8": "DoubleStorage", "i8": "LongStorage"}


def stand_in(module, name, made):
    """`made` under a name that pickle finds."""
    parent = ""
    for part in module.split("."):
        parent = f"{parent}.{part}" if parent else part
        sys.modules.setdefault(parent, types.ModuleType(parent))
    made.__module__, made.__qualname__, made.__name__ = module, name, name
    setattr(sys.modules[module], name, made)
    return made


@functools.cache
def named_class(module, name):
    return stand_in(module, name, type(name, (), {}))


REBUILD = stand_in("torch._utils", "_rebuild_tensor_v2", lambda *args: None)
FROM_BYTES = stand_in("torch.storage", "_load_from_bytes", lambda *args: None)
STORAGES = {kind: named_class("torch", name) for kind, name in STORAGE.items()}
named_class("torch", "Tensor")  # SciPy asks for it as soon as something is called torch.


def kind(array):
    return array.dtype.str[1:]


class Storage:
    """The numbers of one tensor in a container's own file."""

    def __init__(self, key, array):
        self.key, self.array = key, array


class Embedded:
    """The numbers of one tensor as a torch file of the older form, within a pickle."""

    def __init__(self, array):
        self.array = array

    def __reduce__(self):
        out = io.BytesIO()
        for value in (MAGIC, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}):
            pickle.dump(value, out, protocol=2)
        keyed = KeyedPickler(out)
        keyed.dump(Storage("0", self.array))
        pickle.dump(["0"], out, protocol=2)
        out.write(struct.pack("<q", self.array.size) + self.array.tobytes())
        return FROM_BYTES, (out.getvalue(),)


class Tensor:
    def __init__(self, storage, shape):
        self.storage, self.shape = storage, shape

    def __reduce__(self):
        stride = [int(np.prod(self.shape[i + 1 :], dtype=int)) for i in range(len(self.shape))]
        hooks = collections.OrderedDict()
        return REBUILD, (self.storage, 0, tuple(self.shape), tuple(stride), False, hooks)


class KeyedPickler(pickle.Pickler):
    def __init__(self, out):
        super().__init__(out, protocol=2)

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        return ("storage", STORAGES[kind(value.array)], value.key, "cpu", value.array.size)


def with_tensors(value, made):
    """Arrays replaced by `made(array)`."""
    if isinstance(value, np.ndarray):
        return made(np.ascontiguousarray(value))
    if isinstance(value, dict):
        return type(value)((key, with_tensors(item, made)) for key, item in value.items())
    return value


def checkpoint(value):
    """torch.save of dictionaries, numbers and arrays, as bytes."""
    stored = []

    def tensor(array):
        stored.append(array)
        return Tensor(Storage(str(len(stored) - 1), array), array.shape)

    pickled = io.BytesIO()
    KeyedPickler(pickled).dump(with_tensors(value, tensor))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        write = lambda name, data: archive.writestr(zipfile.ZipInfo(f"archive/{name}"), data)
        write("data.pkl", pickled.getvalue())
        write("byteorder", "little")
        for key, array in enumerate(stored):
            write(f"data/{key}", array.tobytes())
        write("version", "3\n")
    return out.getvalue()


def embedded(array):
    return Tensor(Embedded(np.ascontiguousarray(array)), array.shape)


def module(arrays):
    """A tree of modules that holds `arrays` (by their dotted names) as its parameters and buffers."""
    kind_of_module = named_class("torch.nn.modules.module", "Module")
    made = kind_of_module()
    parts, own = {}, {}
    for name, array in arrays.items():
        first, _, rest = name.partition(".")
        if rest:
            parts.setdefault(first, {})[rest] = array
        else:
            own[first] = embedded(array)
    made.training, made._parameters, made._buffers = False, {}, own
    made._modules = {name: module(inner) for name, inner in parts.items()}
    return made


def inference(flow, prior, **beside):
    """sbi's {'inference': NPE_C, …}; `flow` by the names below its estimator. `prior` is None or (low, high)."""
    made = named_class("sbi.inference.trainers.npe.npe_c", "NPE_C")()
    made._device = "cpu"
    if prior is None:
        made._prior = named_class("sbi.utils.sbiutils", "ImproperEmpirical")()
    else:
        uniform = named_class("torch.distributions.uniform", "Uniform")()
        uniform.low, uniform.high = (embedded(np.array([edge], "f4")) for edge in prior)
        made._prior = named_class("sbi.utils.torchutils", "BoxUniform")()
        made._prior.base_dist, made._prior.reinterpreted_batch_ndims = uniform, 1
    made._neural_net = module(flow)
    return pickle.dumps({"inference": made, **beside}, protocol=4)
