"""Help pages of commands with many options: in sections, with what is asked for most often first."""

from __future__ import annotations

import click

# the options of searches and comparisons by their names in Python, in the order of the page
SECTIONS = {
    "Data": ("data", "target", "task", "unit", "validation", "test"),
    "Model and training": (
        *("model", "epochs", "batch_size", "learning_rates", "rescale_init", "seed"),
    ),
    "What is tried": (
        *("activations", "per", "trials", "executions_per_trial", "strategy"),
        *("max_epochs", "max_seconds", "verdict", "baseline", "seeds", "looks"),
    ),
    "What comes out": ("out", "csv", "report", "overwrite", "as_json", "quiet"),
    "Where it is kept, and goes on": ("directory", "resume", "restart"),
    "Who follows it": ("tensorboard", "mlflow", "wandb"),
    "How a table is read": ("drop", "column", "gaps", "separator", "decimal", "encoding"),
    "How a folder of images is read": ("image_size", "skip_broken"),
}


class SectionedCommand(click.Command):
    """A command whose help has its options in `SECTIONS`; what is in none comes last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        records = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                records[str(parameter.name)] = record
        for title, names in SECTIONS.items():
            rows = [records.pop(name) for name in names if name in records]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
        with formatter.section("More"):
            formatter.write_dl(list(records.values()))
