"""A readable summary of a model: its modules with the shapes and numbers of their parameters."""

from collections.abc import Iterator, Mapping

from torch import nn


def named_parameters(parts: Mapping[str, nn.Module]) -> Iterator[tuple[str, nn.Parameter]]:
    """Parameters of several modules with their names, each once: that of a shared one is the first."""
    seen: set[nn.Parameter] = set()
    for place, part in parts.items():
        for name, parameter in part.named_parameters(prefix=place):
            if parameter not in seen:
                seen.add(parameter)
                yield name, parameter


def summary(parts: Mapping[str, nn.Module]) -> str:
    """A Markdown table of the modules, each with its own parameters; a shared one is counted where it comes first.

    Args:
        parts: modules by name, such as model and head.
    """
    counted = {parameter: name for name, parameter in named_parameters(parts)}
    total, trained = 0, 0
    rows = ["| module | kind | parameters | shapes |", "| --- | --- | ---: | --- |"]
    for place, part in parts.items():
        for name, module in part.named_modules(prefix=place):
            own = dict(module.named_parameters(recurse=False, remove_duplicate=False))
            count, shapes = 0, []
            for key, parameter in own.items():
                shape = f"{key} {' × '.join(map(str, parameter.shape)) or 'scalar'}"
                first = counted[parameter]
                if first == f"{name}.{key}":
                    count += parameter.numel()
                    trained += parameter.numel() * parameter.requires_grad
                    shapes.append(shape if parameter.requires_grad else f"{shape} (frozen)")
                else:
                    shapes.append(f"{shape} (that of {first})")
            total += count
            details = module.extra_repr().replace("|", "\\|")
            kind = f"{type(module).__name__}({details})" if details else type(module).__name__
            rows.append(f"| `{name}` | `{kind}` | {f'{count:,}' if own else ''} | {', '.join(shapes)} |")
    frozen = "" if trained == total else f", of which {trained:,} are trained"
    return f"{total:,} parameters{frozen}.\n\n" + "\n".join(rows)
