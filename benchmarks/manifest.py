"""Validate the manifest for Kubernetes against KubeRay's published schema.

    python -m benchmarks.manifest PATH

PATH is ray-operator/config/crd/bases/ray.io_rayjobs.yaml of github.com/ray-project/kuberay. Names
that the schema does not know count as errors, as `kubectl apply --validate=strict` has it.
"""

import sys
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

MANIFEST = Path(__file__).parents[1] / "examples" / "cluster" / "kuberay.yaml"


def strict(schema: Any) -> Any:
    """Return a schema that forbids names it does not list."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if made.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    if "properties" in made and made.get("type") == "object":
        free = made.get("x-kubernetes-preserve-unknown-fields", False)
        made.setdefault("additionalProperties", free)
    return made


def main(path: str) -> None:
    """Print what is wrong with the manifest."""
    definition = yaml.safe_load(Path(path).read_text())
    manifest = yaml.safe_load(MANIFEST.read_text())
    group, version = manifest["apiVersion"].split("/")
    assert (group, manifest["kind"]) == (
        definition["spec"]["group"],
        definition["spec"]["names"]["kind"],
    )
    (schema,) = (
        one["schema"]["openAPIV3Schema"]
        for one in definition["spec"]["versions"]
        if one["name"] == version
    )
    schema["properties"]["metadata"] = {"type": "object"}
    errors = list(Draft202012Validator(strict(schema)).iter_errors(manifest))
    for error in errors:
        print(f"- {'.'.join(map(str, error.absolute_path))}: {error.message}")
    print(f"- {MANIFEST.name} against {group}/{version} {manifest['kind']}: {len(errors)} errors")


if __name__ == "__main__":
    main(sys.argv[1])
