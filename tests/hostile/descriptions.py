"""Descriptions of models that name what is no part of a model, or too much of it."""

import base64
import json
from typing import Any

from tests.hostile.forging import Honest, lambda_layer, layer
from tests.hostile.kinds import damaged, unsafe


def named(module: str | None, name: str, **config: Any) -> dict[str, Any]:
    """Returns a layer of a class with a name."""
    return {**layer(name, **config), "module": module, "class_name": name}


@unsafe
def python_lambda(honest: Honest) -> bytes:
    """A layer with the code of a Python lambda (CVE-2024-3660, CVE-2026-12481)."""
    code = {"code": "4wAAAAA=", "defaults": None, "closure": None}
    return honest.with_layer(lambda_layer({"class_name": "__lambda__", "config": code}))


@unsafe
def python_lambda_as_a_shape(honest: Honest) -> bytes:
    """The same where a layer is asked for its shape."""
    code = {"code": "4wAAAAA=", "defaults": None, "closure": None}
    function = {
        "module": "keras.ops",
        "class_name": "function",
        "config": "relu",
        "registered_name": "function",
    }
    made = lambda_layer(function)
    made["config"]["output_shape"] = {"class_name": "__lambda__", "config": code}
    return honest.with_layer(made)


@unsafe
def python_lambda_deep_inside(honest: Honest) -> bytes:
    """The same in the configuration of an initializer."""
    config = honest.config()
    dense = config["config"]["layers"][1]["config"]
    dense["kernel_initializer"] = {"class_name": "__lambda__", "config": {"value": "x"}}
    return honest.with_config(config)


@unsafe
def shell(honest: Honest) -> bytes:
    """A layer of the function os.system (CVE-2025-1550)."""
    return honest.with_function("os", "system", command=f"touch {honest.marker}")


@unsafe
def shell_by_its_other_name(honest: Honest) -> bytes:
    """The same where the function really is."""
    return honest.with_function("posix", "system", command=f"touch {honest.marker}")


@unsafe
def subprocess_class(honest: Honest) -> bytes:
    """A layer of the class subprocess.Popen."""
    return honest.with_layer(
        named("subprocess", "Popen", args=["touch", str(honest.marker)])
    )


@unsafe
def python_eval(honest: Honest) -> bytes:
    """A layer of a function that Python has everywhere."""
    return honest.with_function(
        "builtins", "exec", source=f"open({str(honest.marker)!r}, 'w')"
    )


@unsafe
def shell_as_a_metric(honest: Honest) -> bytes:
    """The same function, to be called in training."""
    config = honest.config()
    config["compile_config"]["metrics"] = [
        {
            "module": "os",
            "class_name": "function",
            "config": "system",
            "registered_name": "system",
        }
    ]
    return honest.with_config(config)


@unsafe
def shell_as_an_optimizer(honest: Honest) -> bytes:
    """A class in the place of the optimizer."""
    config = honest.config()
    config["compile_config"]["optimizer"] = named("os", "_wrap_close")
    return honest.with_config(config)


@unsafe
def shell_as_the_model(honest: Honest) -> bytes:
    """The whole description is that of a program."""
    return honest.with_config(
        named("subprocess", "Popen", args=["touch", str(honest.marker)])
    )


@unsafe
def download(honest: Honest) -> bytes:
    """A layer of Keras's function that downloads and unpacks (CVE-2025-8747)."""
    return honest.with_function(
        "keras.utils", "get_file", origin="http://127.0.0.1:9/x", extract=True
    )


@unsafe
def download_from_inside(honest: Honest) -> bytes:
    """The same where Keras keeps it."""
    return honest.with_function("keras.src.utils.file_utils", "get_file")


@unsafe
def safe_mode_off(honest: Honest) -> bytes:
    """A layer of the function that ends Keras's safe mode (CVE-2025-9906)."""
    return honest.with_function("keras.config", "enable_unsafe_deserialization")


@unsafe
def safe_mode_off_from_inside(honest: Honest) -> bytes:
    """The same by a function behind it."""
    return honest.with_function(
        "keras.src.backend.common.global_state",
        "set_global_attribute",
        value=False,
    )


@unsafe
def another_model(honest: Honest) -> bytes:
    """A layer of the function that loads models, without safe mode (CVE-2025-9906)."""
    return honest.with_function("keras.models", "load_model", safe_mode=False)


@unsafe
def save(honest: Honest) -> bytes:
    """A layer of a function that writes a file."""
    return honest.with_function("keras.utils", "save_img", path=str(honest.marker))


@unsafe
def function_as_a_class(honest: Honest) -> bytes:
    """A function in the place of a layer."""
    return honest.with_layer(named("keras.utils", "get_file"))


@unsafe
def module_as_a_class(honest: Honest) -> bytes:
    """A module that Keras has imported, in the place of a layer."""
    return honest.with_layer(named("keras.src.saving.serialization_lib", "importlib"))


@unsafe
def class_that_is_no_layer(honest: Honest) -> bytes:
    """A class of Keras that writes files."""
    return honest.with_layer(named("keras.callbacks", "CSVLogger", filename="x"))


@unsafe
def module_in_this_directory(honest: Honest) -> bytes:
    """A module that Python would find where it was started."""
    return honest.with_layer(named("hostile_module", "Layer"))


@unsafe
def module_that_keras_would_import(honest: Honest) -> bytes:
    """The same by a name that Keras trusts."""
    return honest.with_layer(named("keras_nlp", "Layer"))


@unsafe
def module_of_keras_that_is_not_loaded(honest: Honest) -> bytes:
    """A test of Keras's, which does what tests do."""
    return honest.with_layer(named("keras.src.saving.saving_lib_test", "MyDense"))


@unsafe
def registered_name_of_nothing(honest: Honest) -> bytes:
    """A class with the name of a registered one that there is not."""
    return honest.with_layer(
        {**named("os", "_wrap_close"), "registered_name": "package>Layer"}
    )


@unsafe
def type_of_tensorflow(honest: Honest) -> bytes:
    """A type, made of the class that the description names."""
    config = honest.config()
    config["config"]["layers"][1]["config"]["name"] = {
        "class_name": "__typespec__",
        "spec_name": "Popen",
        "module": "subprocess",
        "registered_name": None,
        "config": ["x"],
    }
    return honest.with_config(config)


@unsafe
def vocabulary_elsewhere(honest: Honest) -> bytes:
    """A layer whose vocabulary is any file (CVE-2025-12058)."""
    return honest.with_layer(layer("StringLookup", vocabulary="/etc/passwd"))


@unsafe
def vocabulary_on_the_net(honest: Honest) -> bytes:
    """The same from another machine."""
    return honest.with_layer(
        layer("TextVectorization", vocabulary="http://169.254.169.254/latest")
    )


@unsafe
def vocabulary_of_numbers(honest: Honest) -> bytes:
    """The same of numbers."""
    return honest.with_layer(layer("IntegerLookup", vocabulary="/etc/passwd"))


@unsafe
def name_that_climbs(honest: Honest) -> bytes:
    """A layer whose files would lie outside of the model's (CVE-2026-12479)."""
    climbing = "..\\..\\..\\..\\work"
    return honest.with_layer(layer("StringLookup", vocabulary=["a"], name=climbing))


@unsafe
def name_above(honest: Honest) -> bytes:
    """A layer whose files would lie in the directory above."""
    return honest.with_layer(layer("StringLookup", vocabulary=["a"], name=".."))


@unsafe
def saved_model_elsewhere(honest: Honest) -> bytes:
    """A layer that is a program of TensorFlow elsewhere (CVE-2026-1462)."""
    return honest.with_layer(layer("TFSMLayer", filepath="//host/share/program"))


@unsafe
def module_of_torch(honest: Honest) -> bytes:
    """A layer that is a pickle of Torch."""
    pickle = b"cos\nsystem\n(S'touch %s'\ntR." % str(honest.marker).encode()
    return honest.with_layer(
        layer(
            "TorchModuleWrapper",
            module={
                "class_name": "__bytes__",
                "config": {"value": base64.b64encode(pickle).decode()},
            },
        )
    )


@unsafe
def bomb_of_units(honest: Honest) -> bytes:
    """A layer with sixteen gigabytes of weights."""
    return honest.with_layer(layer("Dense", units=10**9))


@unsafe
def bomb_of_many_layers(honest: Honest) -> bytes:
    """A hundred layers of eight megabytes."""
    config = honest.config()
    for index in range(100):
        made = layer("Dense", units=1448)
        made["config"]["name"] = f"bad_{index}"
        config["config"]["layers"].insert(1, made)
    return honest.with_config(config)


@unsafe
def bomb_of_words(honest: Honest) -> bytes:
    """A table of a trillion words."""
    return honest.with_layer(layer("Embedding", input_dim=10**12, output_dim=8))


@unsafe
def bomb_of_classes(honest: Honest) -> bytes:
    """A metric with a matrix of a trillion values."""
    return with_metric(honest, "MeanIoU", num_classes=10**6)


@unsafe
def bomb_of_thresholds(honest: Honest) -> bytes:
    """A metric that makes a list of a billion thresholds."""
    return with_metric(honest, "AUC", num_thresholds=10**9)


def with_metric(honest: Honest, name: str, **config: Any) -> bytes:
    """Returns the file with one metric."""
    description = honest.config()
    description["compile_config"]["metrics"] = [
        {
            "module": "keras.metrics",
            "class_name": name,
            "config": {"name": "bad", "dtype": "float32", **config},
            "registered_name": None,
        }
    ]
    return honest.with_config(description)


@unsafe
def bomb_of_ngrams(honest: Honest) -> bytes:
    """A layer that makes a list of a billion lengths."""
    return honest.with_layer(layer("TextVectorization", ngrams=10**9))


@unsafe
def bomb_of_a_type(honest: Honest) -> bytes:
    """A value of a gigabyte, by its type."""
    config = honest.config()
    config["config"]["layers"][1]["config"]["bias_initializer"] = {
        "class_name": "__numpy__",
        "config": {"value": 0, "dtype": "V1000000000"},
    }
    return honest.with_config(config)


@unsafe
def computed_at_once(honest: Honest) -> bytes:
    """A layer that is called on a number, and repeats it a billion times."""
    one = {"class_name": "__tensor__", "config": {"value": [1.0], "dtype": "float32"}}
    repeat = {
        **named("keras.src.ops.numpy", "Repeat"),
        "config": {"repeats": 10**9, "axis": 0, "name": "repeat"},
        "registered_name": "Repeat",
        "name": "repeat",
        "inbound_nodes": [{"args": [one], "kwargs": {}}],
    }
    start = layer("InputLayer", batch_shape=[None, 4])
    start.update(name="bad", inbound_nodes=[])
    return honest.with_config(
        {
            **honest.config(),
            "module": "keras.src.models.functional",
            "class_name": "Functional",
            "registered_name": "Functional",
            "config": {
                "name": "f",
                "layers": [start, repeat],
                "input_layers": [["bad", 0, 0]],
                "output_layers": [["bad", 0, 0]],
            },
        }
    )


@unsafe
def deep_text(honest: Honest) -> bytes:
    """A hundred thousand brackets."""
    return honest.with_config(b"[" * 100_000 + b"]" * 100_000)


@unsafe
def deep_objects(honest: Honest) -> bytes:
    """Models in models, three hundred times."""
    config: Any = honest.config()
    for _ in range(300):
        outer = honest.config()
        outer["config"]["layers"] = [config]
        config = outer
    return honest.with_config(config)


@unsafe
def very_many_parts(honest: Honest) -> bytes:
    """Five million empty lists."""
    config = json.dumps(honest.config()).encode()
    return honest.with_config(config[:-1] + b', "x": [' + b"[]," * 5_000_000 + b"0]}")


@unsafe
def very_long(honest: Honest) -> bytes:
    """A text of thirty megabytes."""
    config = json.dumps(honest.config()).encode()
    return honest.with_config(config[:-1] + b', "x": "' + b"x" * 30_000_000 + b'"}')


@unsafe
def said_twice(honest: Honest) -> bytes:
    """A key that comes twice in one object."""
    config = json.dumps(honest.config()).encode()
    return honest.with_config(config[:-1] + b', "class_name": "Lambda"}')


@unsafe
def no_model(honest: Honest) -> bytes:
    """A description of an optimizer."""
    config = honest.config()["compile_config"]["optimizer"]
    return honest.with_config(config)


@damaged
def no_json(honest: Honest) -> bytes:
    """A description that is no JSON."""
    return honest.with_config(b"{'class_name': exit()}")


@damaged
def number_without_end(honest: Honest) -> bytes:
    """A number of a million digits, which takes Python minutes."""
    return honest.with_config(b'{"class_name": ' + b"9" * 1_000_000 + b"}")


@damaged
def a_list(honest: Honest) -> bytes:
    """A description that is a list."""
    return honest.with_config([])


@damaged
def no_unicode(honest: Honest) -> bytes:
    """A description that is no text."""
    return honest.with_config(b'{"class_name": "\xff"}')
