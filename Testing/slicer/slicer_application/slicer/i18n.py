"""Translation, in the language of the source."""


def translate(context, text):
    """Return the text: the stand-in has no translation."""
    return text


def tr(text):
    """Return the text: the stand-in has no translation."""
    return translate("", text)
