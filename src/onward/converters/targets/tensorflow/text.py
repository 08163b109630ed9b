"""TensorFlow's words for operators on text, which have no definition as a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onward.converters.targets.printing.naming import quoted
from onward.converters.targets.printing.native import Writer
from onward.converters.targets.tensorflow.native import RULES, data_of
from onward.operators.microsoft.activations import DOMAIN
from onward.operators.native import Call
from onward.operators.text.regular_expressions import compile_expression
from onward.operators.text.strings import CASES

if TYPE_CHECKING:
    from onward.converters.targets.printing.printer import Printer


MARKS = (("\x02", "\x03"), (" ", "\t"))
"""A character to put around what is found, and one that takes its place in the text: two that are no part of what is looked for."""


@RULES.rule("StringConcat")
def concatenation(call: Call) -> Writer:
    left, right = call.inputs
    return lambda printer: f"({printer.array(left)} + {printer.array(right)})"


@RULES.rule("RegexFullMatch")
def full_match(call: Call) -> Writer:
    """Both mean the syntax of RE2."""
    return lambda printer: f"tf.strings.regex_full_match({printer.array(data_of(call))}, {quoted(call.attributes['pattern'])})"


@RULES.rule("StringSplit")
def split(call: Call) -> Writer | None:
    """TensorFlow keeps white space at the beginning of text that is not split."""
    delimiter, most = call.attributes.get("delimiter"), call.attributes.get("maxsplit")
    if not delimiter and most == 0:
        return None
    separator = quoted(delimiter) if delimiter else "None"
    return lambda printer: printer.words.helper("split_text", printer.array(data_of(call)), separator, str(-1 if most is None else most))


@RULES.rule("StringNormalizer")
def normalization(call: Call) -> Writer:
    given = call.attributes
    compared = CASES["NONE" if given["is_case_sensitive"] else "LOWER"]
    stop = f"[{', '.join(quoted(compared(word)) for word in given.get('stopwords') or ())}]"
    case = {"NONE": "None", "LOWER": "tf.strings.lower", "UPPER": "tf.strings.upper"}[given["case_change_action"]]

    def write(printer: Printer) -> str:
        return printer.words.helper("normalized_text", printer.array(data_of(call)), stop, str(bool(given["is_case_sensitive"])), case)

    return write


@RULES.rule("Tokenizer", domain=DOMAIN)
def tokens(call: Call) -> Writer | None:
    """By an expression that has one meaning (its page refuses others), or character by character."""
    given = call.attributes
    expression, filler, least = given.get("tokenexp"), quoted(given["pad_value"]), int(given["mincharnum"])
    if given["mark"]:
        return None
    if expression is None:
        plain = list(given["separators"]) == [""] and least <= 1
        return (lambda printer: printer.words.helper("characters_of_text", printer.array(data_of(call)), filler)) if plain else None
    searched = compile_expression(expression).search
    marks = next((pair for pair in MARKS if not any(map(searched, pair))), None)
    if marks is None:
        return None
    options = [quoted(expression), str(max(1, least)), filler, *map(quoted, marks)]
    return lambda printer: printer.words.helper("matching_text", printer.array(data_of(call)), *options)
