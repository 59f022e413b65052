"""Writes PyTorch's two file formats without PyTorch: the zip of torch.save, and sbi's pickle of the older torch format.

Empty classes with the names of PyTorch's and sbi's classes replace them, so the pickles contain the names of the originals.
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


def register(module, name, replacement):
    """Makes `replacement` available to pickle as `module.name`; returns it."""
    parent = ""
    for part in module.split("."):
        parent = f"{parent}.{part}" if parent else part
        sys.modules.setdefault(parent, types.ModuleType(parent))
    replacement.__module__, replacement.__qualname__, replacement.__name__ = module, name, name
    setattr(sys.modules[module], name, replacement)
    return replacement


@functools.cache
def named_class(module, name):
    return register(module, name, type(name, (), {}))


REBUILD = register("torch._utils", "_rebuild_tensor_v2", lambda *args: None)
FROM_BYTES = register("torch.storage", "_load_from_bytes", lambda *args: None)
STORAGES = {dtype: named_class("torch", name) for dtype, name in STORAGE.items()}
named_class("torch", "Tensor")  # SciPy looks for this class if a module is called torch.


def dtype_code(array):
    return array.dtype.str[1:]


class Storage:
    """The numbers of one tensor, stored as a file of the zip."""

    def __init__(self, key, array):
        self.key, self.array = key, array


class Embedded:
    """The numbers of one tensor, stored in a pickle as a torch file of the older format."""

    def __init__(self, array):
        self.array = array

    def __reduce__(self):
        out = io.BytesIO()
        for value in (MAGIC, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}):
            pickle.dump(value, out, protocol=2)
        storage_pickler = StoragePickler(out)
        storage_pickler.dump(Storage("0", self.array))
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


class StoragePickler(pickle.Pickler):
    def __init__(self, out):
        super().__init__(out, protocol=2)

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        return ("storage", STORAGES[dtype_code(value.array)], value.key, "cpu", value.array.size)


def with_tensors(value, to_tensor):
    """A copy of nested dictionaries with `to_tensor(array)` in place of each array."""
    if isinstance(value, np.ndarray):
        return to_tensor(np.ascontiguousarray(value))
    if isinstance(value, dict):
        return type(value)((key, with_tensors(item, to_tensor)) for key, item in value.items())
    return value


def checkpoint(value):
    """The bytes that torch.save writes for dictionaries of numbers and arrays."""
    stored = []

    def tensor(array):
        stored.append(array)
        return Tensor(Storage(str(len(stored) - 1), array), array.shape)

    pickled = io.BytesIO()
    StoragePickler(pickled).dump(with_tensors(value, tensor))
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
    module_class = named_class("torch.nn.modules.module", "Module")
    result = module_class()
    children, tensors = {}, {}
    for name, array in arrays.items():
        first, _, rest = name.partition(".")
        if rest:
            children.setdefault(first, {})[rest] = array
        else:
            tensors[first] = embedded(array)
    result.training, result._parameters, result._buffers = False, {}, tensors
    result._modules = {name: module(inner) for name, inner in children.items()}
    return result


def inference(flow, prior, **entries):
    """The pickle of sbi's dictionary {'inference': NPE_C, …} with further `entries`.

    `flow`: arrays by their names below the estimator; `prior`: None or (low, high).
    """
    result = named_class("sbi.inference.trainers.npe.npe_c", "NPE_C")()
    result._device = "cpu"
    if prior is None:
        result._prior = named_class("sbi.utils.sbiutils", "ImproperEmpirical")()
    else:
        uniform = named_class("torch.distributions.uniform", "Uniform")()
        uniform.low, uniform.high = (embedded(np.array([edge], "f4")) for edge in prior)
        result._prior = named_class("sbi.utils.torchutils", "BoxUniform")()
        result._prior.base_dist, result._prior.reinterpreted_batch_ndims = uniform, 1
    result._neural_net = module(flow)
    return pickle.dumps({"inference": result, **entries}, protocol=4)
