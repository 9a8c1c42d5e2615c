"""As much of kustomize as deploy/kubernetes uses, for machines without kubectl:
resources, files as ConfigMaps, components and strategic merge patches, in
kustomize's order. A test compares it with kubectl's where there is one."""

import copy
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


# What tells the elements of a list apart; of lists that are not here the patch's
# takes the place of the other one. Kubernetes' types have these as patchMergeKey.
MERGE_KEYS = {"containers": "name", "env": "name", "volumes": "name",
              "volumeMounts": "mountPath"}


def merge_key(field, elements):
    if field == "ports":  # Of a container or of a Service.
        return "containerPort" if "containerPort" in elements[0] else "port"
    return MERGE_KEYS.get(field)


def merge(target, patch):
    """A strategic merge patch of two objects, in place."""
    for field, value in patch.items():
        if isinstance(value, dict) and isinstance(target.get(field), dict):
            merge(target[field], value)
        elif isinstance(value, list) and merge_key(field, value):
            target[field] = merged_list(target.get(field, []), value,
                                        merge_key(field, value))
        else:
            target[field] = copy.deepcopy(value)


def merged_list(old, patch, key):
    """What the patch names comes first, as in kustomize."""
    first, rest = [], list(old)
    for change in patch:
        there = [one for one in rest if one[key] == change[key]]
        for one in there:
            rest.remove(one)
        if change.get("$patch") == "delete":
            assert there, change
            continue
        element = copy.deepcopy(there[0]) if there else {}
        merge(element, change)
        first.append(element)
    return first + rest


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
                self.objects += build(path)
            else:
                self.objects += load(path)
        for generator in what.get("configMapGenerator", []):
            self._generate(directory, generator)
        # In the versions of kustomize before 5.1 components came before the
        # generators: what is built must not depend on it.
        for name in what.get("components", []):
            self.add(directory / name)
        for patch in what.get("patches", []):
            self._patch(patch)
        for image in what.get("images", []):
            self._rename(image)
        for found in self.objects if "namespace" in what else []:
            found["metadata"]["namespace"] = what["namespace"]
        return self

    def _generate(self, directory, generator):
        behavior = generator.get("behavior", "create")
        there = [found for found in self.objects if
                 (found["kind"], found["metadata"]["name"]) ==
                 ("ConfigMap", generator["name"])]
        assert len(there) == (0 if behavior == "create" else 1), (
            f"{directory}: {generator['name']}")
        made = {"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": generator["name"]},
                "data": {name: (directory / name).read_text()
                         for name in generator["files"]}}
        labels = generator.get("options", {}).get("labels", {})
        for found in there:
            self.objects.remove(found)
            labels = {**found["metadata"].get("labels", {}), **labels}
            if behavior == "merge":
                made["data"] = {**found["data"], **made["data"]}
        if labels:
            made["metadata"]["labels"] = labels
        self.objects.append(made)

    def _patch(self, patch):
        """To whatever fits; kustomize does not mind when nothing does."""
        key, _, value = patch["target"]["labelSelector"].partition("=")
        for found in self.objects:
            if (found["kind"] == patch["target"]["kind"] and
                    found["metadata"].get("labels", {}).get(key) == value):
                # The name in such a patch says nothing.
                change = yaml.safe_load(patch["patch"])
                merge(found, {"spec": change["spec"]})

    def _rename(self, image):
        for found in self.objects:
            pod = found.get("spec", {}).get("template", {}).get("spec", {})
            for container in pod.get("containers", []):
                name, _, tag = container["image"].partition(":")
                if name == image["name"]:
                    container["image"] = (f"{image.get('newName', name)}:"
                                          f"{image.get('newTag', tag)}")
