"""As much of kustomize as deploy/kubernetes uses, for machines without kubectl:
resources, components, files as ConfigMaps, and patches by RFC 6902. A test
compares it with kubectl's where there is one."""

import pathlib

import jsonschema
import yaml

import schemas


def load(path):
    return list(yaml.safe_load_all(pathlib.Path(path).read_text()))


def validate(document, schema, where):
    try:
        jsonschema.Draft7Validator(schema).validate(document)
    except jsonschema.ValidationError as error:
        place = "/".join(str(step) for step in error.absolute_path)
        raise AssertionError(f"{where}: {place}: {error.message}") from None


def build(directory):
    """The objects that `kubectl kustomize` prints, but for the hashes in the
    names of ConfigMaps."""
    return _Build().add(pathlib.Path(directory)).objects


class _Build:

    def __init__(self):
        self.objects = []

    def add(self, directory):
        file = directory / "kustomization.yaml"
        what, = load(file)
        validate(what, schemas.COMPONENT if what["kind"] == "Component"
                 else schemas.KUSTOMIZATION, file)
        for name in what.get("resources", []):
            path = directory / name
            if path.is_dir():
                self.add(path)
            else:
                self.objects += load(path)
        for generator in what.get("configMapGenerator", []):
            self._generate(directory, generator)
        for patch in what.get("patches", []):
            self._patch(patch, file)
        for name in what.get("components", []):
            self.add(directory / name)
        return self

    def _find(self, kind, name):
        return [found for found in self.objects if
                (found["kind"], found["metadata"]["name"]) == (kind, name)]

    def _generate(self, directory, generator):
        there = self._find("ConfigMap", generator["name"])
        replace = generator.get("behavior") == "replace"
        assert bool(there) == replace, f"{directory}: {generator['name']}"
        for found in there:
            self.objects.remove(found)
        self.objects.append({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": generator["name"],
                         "labels": generator["options"]["labels"]},
            "data": {name: (directory / name).read_text()
                     for name in generator["files"]}})

    def _patch(self, patch, file):
        target, = self._find(patch["target"]["kind"], patch["target"]["name"])
        for operation in yaml.safe_load(patch["patch"]):
            validate(operation, schemas.OPERATION, file)
            *steps, last = operation["path"].split("/")[1:]
            place = target
            for step in steps:
                place = place[int(step) if isinstance(place, list) else step]
            if isinstance(place, list):
                if operation["op"] == "add" and last == "-":
                    place.append(operation["value"])
                    continue
                assert operation["op"] == "replace", operation
                last = int(last)
            if operation["op"] == "replace":
                place[last]  # Must be there.
            place[last] = operation["value"]
