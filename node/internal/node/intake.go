package node

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"derpman/node/internal/host"
	"derpman/node/internal/protocol"
)

const (
	maxFile  = 256 << 20
	maxChunk = 512 << 10
)

// intake takes one file in signed chunks. Nothing is written that the release
// key has not signed, and nothing is used before all of it is there as signed.
type intake struct {
	kind    string // of refusals, such as "image"
	path    string // where the file grows
	release ed25519.PublicKey

	mu       sync.Mutex // held by whoever takes a chunk
	current  chunk      // less the data
	received int64
}

// chunk is a part of a file, with what is known of the whole.
type chunk struct {
	name      string
	text      []byte // what the release key signs
	size      int64
	sha256    string
	signature []byte
	offset    int64
	data      []byte
}

func (i *intake) refuse(code, format string, arguments ...any) *protocol.Error {
	return &protocol.Error{Code: i.kind + "." + code, Message: fmt.Sprintf(format, arguments...)}
}

func (i *intake) check(c *chunk) error {
	sum, err := hex.DecodeString(c.sha256)
	switch {
	case err != nil || len(sum) != sha256.Size:
		return i.refuse("invalid", "sha256 is not 64 hex digits")
	case c.size < 1 || c.size > maxFile:
		return i.refuse("invalid", "size must be 1 to %d", int64(maxFile))
	case len(c.data) == 0 || len(c.data) > maxChunk:
		return i.refuse("invalid", "a chunk holds 1 to %d bytes", maxChunk)
	case c.offset < 0 || c.offset+int64(len(c.data)) > c.size:
		return i.refuse("invalid", "chunk is not within the size")
	case i.release == nil:
		return i.refuse("no_release_key", "this node has no release key and takes nothing")
	case !ed25519.Verify(i.release, c.text, c.signature):
		return i.refuse("bad_signature", "not signed by the release key of this node")
	}
	return nil
}

// take adds a chunk and says whether the file is whole, and as it was signed.
// The mutex is held.
func (i *intake) take(c *chunk) (whole bool, err error) {
	if c.offset == 0 {
		if free := host.DiskFree(filepath.Dir(i.path)); free < 3*c.size {
			return false, i.refuse("disk_full", "%d bytes free, %d needed", free, 3*c.size)
		}
		i.drop()
		i.current = *c
		i.current.data = nil
	}
	same := i.current.name == c.name && i.current.sha256 == c.sha256 && i.current.size == c.size
	if !same || i.received != c.offset {
		return false, i.refuse("wrong_offset", "expected offset %d", i.received)
	}
	if err := i.write(c); err != nil {
		slog.Error("file not taken", "kind", i.kind, "error", err)
		i.drop()
		return false, i.refuse("not_written", "the file cannot be written")
	}
	i.received += int64(len(c.data))
	if i.received < c.size {
		return false, nil
	}
	sum, size, err := sumOf(i.path)
	if err != nil || sum != c.sha256 || size != c.size {
		i.drop()
		return false, i.refuse("bad_checksum", "the file is not the one that was signed")
	}
	return true, nil
}

func (i *intake) write(c *chunk) error {
	file, err := os.OpenFile(i.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(c.data, c.offset)
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

// drop forgets what came so far. The mutex is held.
func (i *intake) drop() {
	os.Remove(i.path)
	i.current, i.received = chunk{}, 0
}

func sumOf(path string) (string, int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, file)
	return hex.EncodeToString(sum.Sum(nil)), size, err
}
