package launch

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"time"

	"derpman/node/internal/protocol"
)

// fault is what a look at a program on trial found.
type fault struct {
	text  string // "" for nothing
	final bool   // no more looks can make it right
}

// look asks the program on trial what a panel would ask.
func look(t *trial, socket string) (fault, error) {
	connection, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return fault{}, err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(5 * time.Second))
	lines := bufio.NewReaderSize(connection, 64<<10)
	var hello struct{ Version, Program string }
	if err := ask(connection, lines, "hello", &hello); err != nil {
		return fault{}, err
	}
	if hello.Program != t.SHA256 || hello.Version != t.Version {
		return fault{text: fmt.Sprintf("version %.40q answers, not the new one", hello.Version)}, nil
	}
	var seen struct {
		Relays []struct {
			ID      int64  `json:"id"`
			StartID string `json:"start_id"`
			State   protocol.State
		}
	}
	if err := ask(connection, lines, "snapshot", &seen); err != nil {
		return fault{}, err
	}
	before := make(map[int64]string, len(t.Relays))
	for _, relay := range t.Relays {
		before[relay.ID] = relay.StartID
	}
	for _, relay := range seen.Relays {
		started, known := before[relay.ID]
		switch {
		case !known || relay.State == protocol.Stopped:
		case relay.StartID != "" && relay.StartID != started:
			return fault{text: fmt.Sprintf("relay %d did not run on", relay.ID), final: true}, nil
		case relay.State != protocol.Ready:
			return fault{text: fmt.Sprintf("relay %d is %s", relay.ID, relay.State)}, nil
		}
	}
	return fault{}, nil
}

func ask(connection net.Conn, lines *bufio.Reader, verb string, into any) error {
	if _, err := fmt.Fprintf(connection, "{\"id\":1,\"verb\":%q,\"body\":{}}\n", verb); err != nil {
		return err
	}
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return err
	}
	var answer struct {
		OK    bool            `json:"ok"`
		Body  json.RawMessage `json:"body"`
		Error *protocol.Error `json:"error"`
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return err
	}
	if !answer.OK {
		return fmt.Errorf("%s refused: %w", verb, answer.Error)
	}
	return json.Unmarshal(answer.Body, into)
}
