"""Certificates for a test, made when it runs: keys are nothing to keep."""

import pathlib
import subprocess


class Authority:
    """A certificate authority in `folder`; `ca` is its certificate."""

    def __init__(self, folder, name="ca"):
        self._folder = pathlib.Path(folder)
        self._name = name
        self.ca, self._key = self._files(name)
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                      "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                      "-subj", f"/CN={name}", "-keyout", self._key, "-out",
                      self.ca)

    def issue(self, common_name, *alternatives, into=None):
        """(certificate, key) for the names, such as "DNS:localhost"; written
        over what the files `into` are, when they are given."""
        certificate, key = into or self._files(
            f"{self._name}-{common_name}")
        request = self._folder / f"{common_name}.csr"
        extensions = self._folder / f"{common_name}.ext"
        extensions.write_text(
            f"subjectAltName={','.join(alternatives or ('DNS:localhost',))}\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt",
                      "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                      f"/CN={common_name}", "-keyout", key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-days", "2", "-CA",
                      self.ca, "-CAkey", self._key, "-CAcreateserial",
                      "-extfile", extensions, "-out", certificate)
        return certificate, key

    def _files(self, name):
        return self._folder / f"{name}.crt", self._folder / f"{name}.key"

    @staticmethod
    def _openssl(*words):
        subprocess.run(["openssl", *[str(word) for word in words]], check=True,
                       capture_output=True)
