package main

import (
	"flag"
	"io"
	"net"
	"os"
	"time"

	"derpman/node/internal/config"
)

// patience is how long a daemon that restarts is waited for.
const patience = 10 * time.Second

// stdio is the forced command of the panel's SSH key: whatever else was asked
// for, it speaks to the daemon and does nothing by itself.
func stdio(arguments []string) error {
	flags := flag.NewFlagSet("stdio", flag.ContinueOnError)
	socket := flags.String("socket", config.Socket(), "Unix socket of the daemon")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	connection, err := connect(*socket)
	if err != nil {
		return err
	}
	defer connection.Close()
	go func() {
		io.Copy(connection, os.Stdin)
		connection.CloseWrite() // answers under way still come
	}()
	_, err = io.Copy(os.Stdout, connection)
	return err
}

func connect(socket string) (*net.UnixConn, error) {
	for until := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		connection, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
		if err == nil || time.Now().After(until) {
			return connection, err
		}
	}
}
