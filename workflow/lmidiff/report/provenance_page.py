"""The page of the report that says what its numbers were made from and with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment

from lmidiff.common.files import write_text

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Provenance of study {{ record.study }}</title>
<style>
body { font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem; color: #111; background: #fff; }
h1 { font-size: 1.2rem; } h2 { font-size: 1rem; margin-top: 1.5rem; }
table { border-collapse: collapse; }
th, td { padding: .2rem .6rem; text-align: left; border-bottom: 1px solid #ddd; }
code, pre { font: 12px/1.4 ui-monospace, monospace; }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; }
</style>
</head>
<body>
<h1>Provenance of study {{ record.study }}</h1>
<table>
<tbody>
{%- for name, value in about %}
<tr><th scope="row">{{ name }}</th><td><code>{{ value }}</code></td></tr>
{%- endfor %}
</tbody>
</table>
<h2>Versions</h2>
<table>
<tbody>
{%- for name, version in record.versions|dictsort %}
<tr><th scope="row">{{ name }}</th><td>{{ version }}</td></tr>
{%- endfor %}
</tbody>
</table>
<h2>Config, resolved</h2>
<pre>{{ config }}</pre>
<h2>Files (SHA-256)</h2>
{%- for kind, files in record.files|dictsort %}
<details{% if files|length < 20 %} open{% endif %}>
<summary>{{ kind }}: {{ files|length }}</summary>
<table>
<tbody>
{%- for name, digest in files|dictsort %}
<tr><th scope="row">{{ name }}</th><td><code>{{ digest }}</code></td></tr>
{%- endfor %}
</tbody>
</table>
</details>
{%- endfor %}
</body>
</html>
"""


def write_provenance_page(record: Mapping[str, Any], config: str, path: str | Path) -> None:
    """Write what ``record/provenance.json`` and ``record/config.yaml`` say as one HTML page.

    Args:
        record: see :func:`lmidiff.records.provenance.record`.
        config: the resolved config as YAML text.
        path: the HTML file, written atomically.
    """
    names = {
        "commit": "commit",
        "code_sha256": "hash of the code",
        "config_sha256": "hash of the config",
        "device": "device",
    }
    about = [(title, record[key]) for key, title in names.items() if key in record]
    page = Environment(autoescape=True, keep_trailing_newline=True).from_string(_PAGE)
    write_text(path, page.render(record=record, about=about, config=config))
