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

    def issue(self, common_name, *alternatives, into=None, rsa=False):
        """(certificate, key) for the names, such as "DNS:localhost"; written
        over what the files `into` are, when they are given."""
        certificate, key = into or self._files(
            f"{self._name}-{common_name}")
        request = self._folder / f"{common_name}.csr"
        extensions = self._folder / f"{common_name}.ext"
        extensions.write_text(
            f"subjectAltName={','.join(alternatives or ('DNS:localhost',))}\n")
        kind = ("rsa:2048",) if rsa else ("ec", "-pkeyopt",
                                          "ec_paramgen_curve:prime256v1")
        self._openssl("req", "-newkey", *kind, "-nodes", "-subj",
                      f"/CN={common_name}", "-keyout", key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-days", "2", "-CA",
                      self.ca, "-CAkey", self._key, "-CAcreateserial",
                      "-extfile", extensions, "-out", certificate)
        return certificate, key

    def respond(self, certificate, into):
        """Writes an OCSP response (RFC 6960) for the certificate."""
        serial = subprocess.run(
            ["openssl", "x509", "-in", certificate, "-noout", "-serial"],
            check=True, capture_output=True, text=True).stdout.strip()[7:]
        index = self._folder / "index.txt"
        index.write_text(f"V\t491231235959Z\t\t{serial}\tunknown\t/CN=any\n")
        request = self._folder / "ocsp.req"
        self._openssl("ocsp", "-issuer", self.ca, "-cert", certificate,
                      "-reqout", request)
        self._openssl("ocsp", "-index", index, "-CA", self.ca, "-rsigner",
                      self.ca, "-rkey", self._key, "-ndays", "1", "-reqin",
                      request, "-respout", into)

    def _files(self, name):
        return self._folder / f"{name}.crt", self._folder / f"{name}.key"

    @staticmethod
    def _openssl(*words):
        subprocess.run(["openssl", *[str(word) for word in words]], check=True,
                       capture_output=True)
