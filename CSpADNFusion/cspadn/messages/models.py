"""Messages on models: weights files and model cards."""

from cspadn.messages.record import Message, Section

SECTION = Section(
    "Models and weights",
    "A model is a `.safetensors` file and its card, a `.json` file of the same name beside it. Both are checked before the "
    "fusion starts.",
    (
        Message(
            "model-unknown",
            "There is no model '{model}': use one of {choices}, or a {suffix} file.",
            "`cspadn models` lists the names. The name of your own file must end in `.safetensors`.",
        ),
        Message(
            "model-card-unreadable",
            "The model card {path} cannot be read: put it beside the weights.",
            "Only one of the two files was copied or renamed, or the name of the weights is wrong.",
        ),
        Message(
            "model-architecture-unknown",
            "The model card {path} names the unknown architecture '{architecture}': use a model of {choices}.",
            "This version does not have the network of the model. Use another model, or the version that exported it.",
        ),
        Message(
            "model-card-invalid",
            "{path} is not a model card of this version: export the model again.",
            "The JSON file is damaged or belongs to another program, or another version exported the model. Use `python -m "
            "training.export`.",
        ),
        Message(
            "weights-unreadable",
            "The weights {path} cannot be read: check the name and the permissions.",
            "The card exists. The weights are missing, or cannot be opened.",
        ),
        Message(
            "weights-not-of-card",
            "The weights {path} do not belong to their model card (SHA-256 differs): copy both again.",
            "A file was damaged while it was copied, or files of two exports were mixed.",
        ),
        Message(
            "weights-format",
            "{path} is not a safetensors file: export the model again.",
            "The card fits the file, but the file has another format, such as a renamed checkpoint of a training.",
        ),
        Message(
            "weights-do-not-fit",
            "The weights {path} do not fit the network of their model card: export the model again.",
            "The card describes other layers than the file contains. One of them was changed after the export.",
        ),
        Message(
            "weights-not-finite",
            "The weights {path} contain NaN or infinity: export the model again.",
            "The training diverged. Export a better checkpoint, or train again with a lower learning rate.",
        ),
        Message(
            "model-not-as-shipped",
            "The model {model} is not the one of this version ({path} was exchanged): install cspadn again.",
            "The SHA-256 of each shipped model is part of the program, so that a change of both weights and card is noticed. "
            "Keep your own models in another folder, and give the path of the weights.",
        ),
        Message(
            "model-without-numbers",
            "The model computes NaN or infinity from these volumes: choose another model, or leave out --half.",
            "All weights are finite, but so large that sums of them are not, as after a training that diverged. With "
            "`--half`, numbers above 65,504 overflow.",
        ),
        Message(
            "model-file-too-large",
            "{what} {path} is larger than {limit:.0f} MB and was not read: check the name.",
            "Weights may have 64 MB, cards 1 MB. Probably the file of another program was chosen.",
        ),
        Message(
            "model-width-invalid",
            "{field} is {value!r}: it must be a whole number from 1 to {limit}.",
            "In training: a width under `network` in the YAML file that follows in the text. A model card with such a value "
            "is `model-card-invalid`.",
        ),
        Message(
            "model-decoder-too-long",
            "decoder_channels has {count} values: it must have at most {limit}.",
            "In training: that list under `network`. A model card with such a list is `model-card-invalid`.",
        ),
        Message(
            "model-attention-unknown",
            "attention is {value!r}: it must be one of {choices}.",
            "In training: the entry under `network`. A model card with such an entry is `model-card-invalid`.",
        ),
        Message(
            "model-name-unprintable",
            "The name or version of the model contains characters that cannot be printed: choose others.",
            "From `training.export`: for example line breaks, which would get into the headers of fused volumes. A finished "
            "model card with such a name is `model-card-invalid`.",
        ),
    ),
)
