package node

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"

	"derpman/node/internal/host"
	"derpman/node/internal/protocol"
)

const (
	maxImage = 256 << 20
	maxChunk = 512 << 10
)

// upload is the archive that is coming in.
type upload struct {
	image    protocol.Image // less the data
	received int64
}

var labelForm = regexp.MustCompile(`^derper-[0-9A-Za-z.]{1,40}-[0-9a-f]{12}$`)

// SignedText is what the release key signs for an archive.
func SignedText(label, sum string) []byte {
	return []byte("derpman-relay-image\n" + label + "\n" + sum + "\n")
}

func imageError(code, format string, arguments ...any) *protocol.Error {
	return &protocol.Error{Code: "image." + code, Message: fmt.Sprintf(format, arguments...)}
}

// Image takes one chunk. Nothing is written that the release key has not
// signed, and nothing is used before all of it is there as signed.
func (n *Node) Image(ctx context.Context, chunk protocol.Image) (protocol.ImageReceived, error) {
	if err := n.checkChunk(&chunk); err != nil {
		return protocol.ImageReceived{}, err
	}
	n.uploading.Lock()
	defer n.uploading.Unlock()
	if label, err := n.runtime.Label(ctx); err == nil && label == chunk.Label {
		return protocol.ImageReceived{Received: chunk.Size, Complete: true, Label: &label}, nil
	}
	if err := n.takeChunk(&chunk); err != nil {
		return protocol.ImageReceived{}, err
	}
	if n.upload.received < chunk.Size {
		return protocol.ImageReceived{Received: n.upload.received}, nil
	}
	if err := n.install(ctx); err != nil {
		return protocol.ImageReceived{}, err
	}
	return protocol.ImageReceived{Received: chunk.Size, Complete: true, Label: &chunk.Label}, nil
}

func (n *Node) checkChunk(chunk *protocol.Image) error {
	sum, err := hex.DecodeString(chunk.SHA256)
	switch {
	case !labelForm.MatchString(chunk.Label):
		return imageError("invalid", "label is not of the form derper-<version>-<12 hex digits>")
	case err != nil || len(sum) != sha256.Size:
		return imageError("invalid", "sha256 is not 64 hex digits")
	case chunk.Size < 1 || chunk.Size > maxImage:
		return imageError("invalid", "size must be 1 to %d", int64(maxImage))
	case len(chunk.Data) == 0 || len(chunk.Data) > maxChunk:
		return imageError("invalid", "a chunk holds 1 to %d bytes", maxChunk)
	case chunk.Offset < 0 || chunk.Offset+int64(len(chunk.Data)) > chunk.Size:
		return imageError("invalid", "chunk is not within the size")
	case n.release == nil:
		return imageError("no_release_key", "this node has no release key and takes no images")
	case !ed25519.Verify(n.release, SignedText(chunk.Label, chunk.SHA256), chunk.Signature):
		return imageError("bad_signature", "not signed by the release key of this node")
	}
	return nil
}

func (n *Node) takeChunk(chunk *protocol.Image) error {
	if chunk.Offset == 0 {
		if free := host.DiskFree(n.config.State); free < 3*chunk.Size {
			return imageError("disk_full", "%d bytes free, %d needed", free, 3*chunk.Size)
		}
		os.Remove(n.path("image.part"))
		n.upload = upload{image: *chunk}
		n.upload.image.Data = nil
	}
	same := n.upload.image.Label == chunk.Label && n.upload.image.SHA256 == chunk.SHA256 && n.upload.image.Size == chunk.Size
	if !same || n.upload.received != chunk.Offset {
		return imageError("wrong_offset", "expected offset %d", n.upload.received)
	}
	file, err := os.OpenFile(n.path("image.part"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return n.dropUpload(err)
	}
	_, err = file.WriteAt(chunk.Data, chunk.Offset)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return n.dropUpload(err)
	}
	n.upload.received += int64(len(chunk.Data))
	return nil
}

func (n *Node) dropUpload(cause error) error {
	slog.Error("image not taken", "error", cause)
	os.Remove(n.path("image.part"))
	n.upload = upload{}
	return imageError("not_written", "the archive cannot be written")
}

func (n *Node) install(ctx context.Context) error {
	path, image := n.path("image.part"), n.upload.image
	defer func() {
		os.Remove(path)
		n.upload = upload{}
	}()
	sum, size, err := sumOf(path)
	if err != nil {
		return n.dropUpload(err)
	}
	if sum != image.SHA256 || size != image.Size {
		return imageError("bad_checksum", "the archive is not the one that was signed")
	}
	if err := n.runtime.Install(ctx, path, image.Label); err != nil {
		slog.Error("image not loaded", "label", image.Label, "error", err)
		return imageError("not_loaded", "%s", err)
	}
	n.journal.Event(0, "image_loaded", map[string]any{"label": image.Label})
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.relays {
		r.Wake()
	}
	return nil
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
