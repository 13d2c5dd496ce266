package server

import (
	"context"
	"time"

	"derpman/node/internal/protocol"
	"derpman/node/internal/survey"
)

// answer does what one request asks.
func (c *conversation) answer(ctx context.Context, request protocol.Request) {
	body, err := c.do(ctx, request)
	switch {
	case err != nil:
		c.refuse(request.ID, err)
	case body != nil:
		c.write(protocol.Answer{ID: request.ID, OK: true, Body: body})
	}
}

// do answers nil, nil when the verb has written its own answer.
func (c *conversation) do(ctx context.Context, request protocol.Request) (any, error) {
	switch request.Verb {
	case "hello":
		return with(request, func(protocol.Empty) (protocol.Hello, error) { return c.node.Hello(ctx), nil })
	case "apply":
		return with(request, c.node.Apply)
	case "snapshot":
		return with(request, func(since protocol.Since) (protocol.Snapshot, error) {
			return c.node.Snapshot(cursorOf(since)), nil
		})
	case "watch":
		return nil, c.watch(ctx, request)
	case "image":
		return with(request, func(chunk protocol.Image) (protocol.ImageReceived, error) { return c.node.Image(ctx, chunk) })
	case "use_image":
		return with(request, func(use protocol.UseImage) (protocol.Empty, error) {
			return protocol.Empty{}, c.node.UseImage(ctx, use)
		})
	case "remake":
		return with(request, func(remake protocol.Remake) (protocol.Empty, error) {
			return protocol.Empty{}, c.node.Remake(ctx, remake)
		})
	case "upgrade":
		return with(request, func(chunk protocol.Upgrade) (protocol.UpgradeReceived, error) {
			return c.node.Upgrade(ctx, chunk)
		})
	case "probe":
		return with(request, func(probe protocol.Probe) (protocol.Probed, error) { return doProbe(ctx, probe) })
	case "listen":
		return with(request, func(listen protocol.Listen) (protocol.Empty, error) {
			return protocol.Empty{}, c.node.Listen(listen)
		})
	case "retire":
		return with(request, func(retire protocol.Retire) (protocol.Empty, error) {
			return protocol.Empty{}, c.node.Retire(ctx, retire)
		})
	}
	return nil, protocol.Invalid("unknown verb")
}

func with[In, Out any](request protocol.Request, do func(In) (Out, error)) (any, error) {
	body, err := protocol.Decode[In](request.Body)
	if err != nil {
		return nil, err
	}
	answer, err := do(body)
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func cursorOf(since protocol.Since) string {
	if since.Cursor == nil {
		return ""
	}
	return *since.Cursor
}

func (c *conversation) watch(ctx context.Context, request protocol.Request) error {
	since, err := protocol.Decode[protocol.Since](request.Body)
	if err != nil {
		return err
	}
	if err := c.write(protocol.Answer{ID: request.ID, OK: true, Body: protocol.Empty{}}); err != nil {
		return nil // the connection is gone; there is nobody to tell
	}
	err = c.node.Watch(ctx, cursorOf(since), func(snapshot protocol.Snapshot) error {
		return c.write(protocol.Stream{ID: request.ID, Event: snapshot})
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func doProbe(ctx context.Context, probe protocol.Probe) (protocol.Probed, error) {
	timeout := time.Duration(probe.TimeoutMS) * time.Millisecond
	if len(probe.Targets) > survey.MaxTargets {
		return protocol.Probed{}, protocol.Invalid("%d targets, at most %d", len(probe.Targets), survey.MaxTargets)
	}
	if timeout <= 0 || timeout > survey.MaxTimeout {
		return protocol.Probed{}, protocol.Invalid("timeout_ms must be 1 to %d", survey.MaxTimeout.Milliseconds())
	}
	for _, target := range probe.Targets {
		if err := checkTarget(target); err != nil {
			return protocol.Probed{}, err
		}
	}
	return protocol.Probed{Results: survey.Probe(ctx, probe.Targets, timeout)}, nil
}

func checkTarget(target protocol.Target) error {
	badPort := func(port int) bool { return port < 1 || port > 65535 }
	switch {
	case badPort(target.Port) || (target.StunPort != nil && badPort(*target.StunPort)):
		return protocol.Invalid("a port is not within 1-65535")
	case target.Token != nil && !survey.IsToken(*target.Token):
		return protocol.Invalid("token is not 8 to 128 letters, digits, - and _")
	}
	return nil
}
