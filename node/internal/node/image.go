package node

import (
	"context"
	"errors"
	"log/slog"
	"regexp"

	"derpman/node/internal/protocol"
	"derpman/node/internal/runtime"
)

var labelForm = regexp.MustCompile(`^derper-[0-9A-Za-z.]{1,40}-[0-9a-f]{12}$`)

// SignedText is what the release key signs for an archive.
func SignedText(label, sum string) []byte {
	return []byte("derpman-relay-image\n" + label + "\n" + sum + "\n")
}

// Image takes one chunk of a relay image; the last one puts it in place.
func (n *Node) Image(ctx context.Context, part protocol.Image) (protocol.ImageReceived, error) {
	if !labelForm.MatchString(part.Label) {
		return protocol.ImageReceived{}, n.image.refuse("invalid", "label is not of the form derper-<version>-<12 hex digits>")
	}
	c := chunk{
		name: part.Label, text: SignedText(part.Label, part.SHA256), size: part.Size, sha256: part.SHA256,
		signature: part.Signature, offset: part.Offset, data: part.Data,
	}
	if err := n.image.check(&c); err != nil {
		return protocol.ImageReceived{}, err
	}
	n.image.mu.Lock()
	defer n.image.mu.Unlock()
	if label, err := n.runtime.Label(ctx); err == nil && label == part.Label {
		return protocol.ImageReceived{Received: part.Size, Complete: true, Label: &label}, nil
	}
	whole, err := n.image.take(&c)
	if err != nil || !whole {
		return protocol.ImageReceived{Received: n.image.received}, err
	}
	defer n.image.drop()
	if err := n.runtime.Install(ctx, n.image.path, part.Label); err != nil {
		slog.Error("image not loaded", "label", part.Label, "error", err)
		return protocol.ImageReceived{}, n.image.refuse("not_loaded", "%s", err)
	}
	n.useImage(part.Label)
	return protocol.ImageReceived{Received: part.Size, Complete: true, Label: &part.Label}, nil
}

// useImage has relays that waited for an image look again.
func (n *Node) useImage(label string) {
	n.journal.Event(0, "image_loaded", map[string]any{"label": label})
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.relays {
		r.Wake()
	}
}

// UseImage goes back to an image that was in place before: for a roll-back.
func (n *Node) UseImage(ctx context.Context, use protocol.UseImage) error {
	if !labelForm.MatchString(use.Label) { // what else it might name to the runtime is no image of ours
		return n.image.refuse("not_there", "this server never had such an image")
	}
	n.image.mu.Lock()
	defer n.image.mu.Unlock()
	if now, err := n.runtime.Label(ctx); err == nil && now == use.Label {
		return nil
	}
	switch err := n.runtime.Use(ctx, use.Label); {
	case errors.Is(err, runtime.ErrNoImage):
		return n.image.refuse("not_there", "this server does not have that image any more")
	case err != nil:
		slog.Error("image not put back", "label", use.Label, "error", err)
		return n.image.refuse("not_loaded", "%s", err)
	}
	n.useImage(use.Label)
	return nil
}

// Remake has one relay made anew from the image in place. It is a request and
// no wish: whoever asks watches what becomes of it, and asks again.
func (n *Node) Remake(ctx context.Context, remake protocol.Remake) error {
	n.image.mu.Lock()
	defer n.image.mu.Unlock()
	label, err := n.runtime.Label(ctx)
	if err != nil {
		return err
	}
	if label != remake.Label {
		return &protocol.Error{Code: "remake.other_image", Message: "the image in place is " + label}
	}
	n.mu.Lock()
	r := n.relays[remake.Relay]
	n.mu.Unlock()
	if r == nil || r.Wanted() == nil {
		return &protocol.Error{Code: "remake.no_relay", Message: "there is no such relay on this server"}
	}
	r.Remake(label)
	return nil
}
