// Command derpman-node keeps the relays of one server as the panel wants them.
//
//	derpman-node serve     the daemon; -h lists its settings
//	derpman-node stdio     joins standard input and output to the daemon's socket
//	derpman-node check     reads the settings of serve and says what is wrong with them
//	derpman-node version
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"derpman/node/internal/config"
	"derpman/node/internal/launch"
	"derpman/node/internal/node"
	"derpman/node/internal/runtime"
	"derpman/node/internal/runtime/docker"
	"derpman/node/internal/runtime/process"
	"derpman/node/internal/server"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	var err error
	switch os.Args[1] {
	case "serve":
		err = serve(os.Args[2:])
	case "stdio":
		err = stdio(os.Args[2:])
	case "check":
		_, err = config.Load(os.Args[2:])
	case "version":
		fmt.Println(node.Version)
	default:
		usage()
	}
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "derpman-node:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: derpman-node serve | stdio | check | version")
	os.Exit(2)
}

func serve(arguments []string) error {
	c, err := config.Load(arguments)
	if err != nil {
		return err
	}
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	if err := launch.Enter(c.State, c.Socket, time.Duration(c.TrialSeconds)*time.Second); err != nil {
		return err
	}
	// A hundred relays fit into 60 MB if garbage is not left lying about.
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(48 << 20)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	rt, err := runtimeOf(ctx, c)
	if err != nil {
		return err
	}
	n, err := node.Open(c, rt, arguments)
	if err != nil {
		return err
	}
	slog.Info("node starts", "version", node.Version, "runtime", rt.Name(), "socket", c.Socket)
	err = run(ctx, stop, n, server.New(n, c.Socket, c.Group))
	if errors.Is(err, node.ErrRestart) {
		return launch.Again()
	}
	return err
}

// run ends both parts when one of them does.
func run(ctx context.Context, stop func(), n *node.Node, s *server.Server) error {
	ended := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		err := n.Run(ctx, func() { close(started) })
		stop()
		ended <- err
	}()
	select {
	case <-started:
	case err := <-ended:
		return err
	}
	err := s.Serve(ctx)
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return err
}

func runtimeOf(ctx context.Context, c *config.Config) (runtime.Runtime, error) {
	if c.Runtime == "process" {
		return process.New(c.State, c.Derper), nil
	}
	rt, err := docker.New(c.DockerHost, c.State, c.RelayMemory)
	if err != nil {
		return nil, err
	}
	go rt.Follow(ctx)
	return rt, nil
}
