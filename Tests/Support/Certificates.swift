import Glibc

/// `ca` and `other` (authorities), `server` and `client` signed by `ca`, `expired` signed by `ca` and over since the second
/// in which it was made, each a `.pem` and a `.key` in `folder`; all servers are `localhost`.
package func makeCertificates(in folder: Folder) async throws {
    let script = """
        set -e
        cd \(folder.path)
        ca() {
          openssl req -x509 -newkey rsa:2048 -nodes -keyout $1.key -out $1.pem -days 2 -subj "/CN=$1" \
            -addext basicConstraints=critical,CA:TRUE
        }
        leaf() {
          openssl req -newkey rsa:2048 -nodes -keyout $1.key -out $1.csr -subj "/CN=$1"
          printf 'subjectAltName=DNS:localhost\\n' > $1.ext
          openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $1.pem -days $2 -extfile $1.ext
        }
        ca ca; ca other; leaf server 2; leaf client 2; leaf expired 0
        """
    try await run(
        ["/bin/bash", "-c", script], ["PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": folder.path], in: folder)
}

/// Whether there is an openssl to make certificates with.
package let canMakeCertificates = ["/usr/bin", "/usr/local/bin"].map { $0 + "/openssl" }.contains {
    access($0, X_OK) == 0
}
