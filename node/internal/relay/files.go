package relay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"tailscale.com/types/key"

	"derpman/node/internal/disk"
	"derpman/node/internal/protocol"
	"derpman/node/internal/runtime"
)

func (r *Relay) folder() string { return filepath.Join(r.env.Folder, strconv.FormatInt(r.ID, 10)) }

func (r *Relay) specOf(wanted *protocol.Relay) runtime.Spec {
	secrets := sha256.Sum256([]byte(wanted.Certificate + "\x00" + wanted.PrivateKey + "\x00" + wanted.MeshKey))
	return runtime.Spec{
		Relay: r.ID, Generation: wanted.Generation,
		Address: wanted.Address, Port: wanted.Port, StunPort: wanted.StunPort,
		Admission: r.env.AdmitAt + r.env.Admission.Path(r.ID),
		Folder:    r.folder(),
		Secrets:   hex.EncodeToString(secrets[:]),
	}
}

// writeFiles puts what derper reads into the relay's folder, for its eyes only.
func (r *Relay) writeFiles(spec runtime.Spec, rate int64) error {
	wanted := r.Wanted()
	if wanted == nil {
		return errors.New("not wanted any more")
	}
	uid, gid, other := r.env.Runtime.Owner()
	if err := os.MkdirAll(spec.Folder, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(spec.Folder, 0o700); err != nil {
		return err
	}
	if other {
		if err := os.Chown(spec.Folder, uid, gid); err != nil {
			return err
		}
	}
	if err := r.clearPairs(spec); err != nil {
		return err
	}
	name := spec.CertificateName()
	files := map[string]string{
		name + ".crt":    wanted.Certificate,
		name + ".key":    wanted.PrivateKey,
		runtime.MeshFile: wanted.MeshKey,
	}
	// derper's own key means nothing to clients, but made here the folder
	// needs no writing by derper.
	if _, err := os.Stat(filepath.Join(spec.Folder, runtime.KeyFile)); errors.Is(err, fs.ErrNotExist) {
		own, err := json.Marshal(map[string]key.NodePrivate{"PrivateKey": key.NewNode()})
		if err != nil {
			return err
		}
		files[runtime.KeyFile] = string(own)
	}
	for file, content := range files {
		if err := r.place(spec, file, []byte(content)); err != nil {
			return err
		}
	}
	return r.writeRate(spec, rate)
}

// clearPairs drops the pair of an address the relay had before.
func (r *Relay) clearPairs(spec runtime.Spec) error {
	pairs, _ := filepath.Glob(filepath.Join(spec.Folder, "*.crt"))
	for _, certificate := range pairs {
		stem := certificate[:len(certificate)-len(".crt")]
		if filepath.Base(stem) == spec.CertificateName() {
			continue
		}
		for _, path := range []string{certificate, stem + ".key"} {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// writeRate writes derper's limit on what one device sends (receive side,
// bytes per second). The burst is a second's worth; derper raises small ones.
func (r *Relay) writeRate(spec runtime.Spec, rate int64) error {
	content, err := json.Marshal(map[string]int64{
		"PerClientRateLimitBytesPerSec": rate,
		"PerClientRateBurstBytes":       rate,
	})
	if err != nil {
		return err
	}
	return r.place(spec, runtime.RateFile, content)
}

func (r *Relay) place(spec runtime.Spec, file string, content []byte) error {
	uid, gid, other := r.env.Runtime.Owner()
	if !other {
		uid, gid = -1, -1
	}
	return disk.Place(filepath.Join(spec.Folder, file), content, 0o400, uid, gid)
}

// forget removes the last traces of an unwanted relay.
func (r *Relay) forget(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	if err := os.RemoveAll(r.folder()); err != nil {
		slog.Error("folder of a relay not removed", "relay", r.ID, "error", err)
		return false
	}
	return r.env.Gone(r)
}
