package main

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"tailscale.com/derp"
	"tailscale.com/derp/derphttp"
	"tailscale.com/net/netmon"
	"tailscale.com/net/netns"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
)

// relayWish is data from one device to another through each of some relays,
// in turns, so that all of them meet the same machine.
type relayWish struct {
	From    key.NodePrivate `json:"from"`
	To      key.NodePrivate `json:"to"`
	Relays  []relayPlace    `json:"relays"`
	Rounds  int             `json:"rounds"`
	Seconds float64         `json:"seconds"` // of one turn
	Bytes   int             `json:"bytes"`   // of one packet
	Window  int             `json:"window"`  // packets under way: below derper's queue, so none is dropped
}

type relayPlace struct {
	Address string `json:"address"`
	Port    int    `json:"port"`
	Pin     string `json:"pin"`
}

type relayResult struct {
	BytesPerSecond [][]float64 `json:"bytes_per_second"` // per relay, per round
	Lost           int         `json:"lost"`
}

func relay(w relayWish) (*relayResult, error) {
	netns.SetEnabled(false) // nothing here is tailscaled, whose sockets bypass itself
	result := &relayResult{BytesPerSecond: make([][]float64, len(w.Relays))}
	paths := make([]*path, len(w.Relays))
	for number, place := range w.Relays {
		p, err := open(place, w)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", place.Address, place.Port, err)
		}
		paths[number] = p
	}
	for round := range w.Rounds + 1 {
		for number, p := range paths {
			rate, lost, err := p.push(w)
			if err != nil {
				return nil, err
			}
			if round > 0 { // the first warms up
				result.BytesPerSecond[number] = append(result.BytesPerSecond[number], rate)
				result.Lost += lost
			}
		}
	}
	return result, nil
}

// path is a way from one device to the other through one relay.
type path struct {
	from, to *derphttp.Client
	arrived  atomic.Int64
	news     chan struct{}
}

func open(place relayPlace, w relayWish) (*path, error) {
	p := &path{news: make(chan struct{}, 1)}
	var err error
	if p.from, err = connect(place, w.From); err != nil {
		return nil, err
	}
	if p.to, err = connect(place, w.To); err != nil {
		return nil, err
	}
	go func() {
		for {
			message, err := p.to.Recv()
			if err != nil {
				return
			}
			if _, is := message.(derp.ReceivedPacket); is {
				p.arrived.Add(1)
				select {
				case p.news <- struct{}{}:
				default:
				}
			}
		}
	}()
	return p, nil
}

// push sends for one turn and returns what arrived per second.
func (p *path) push(w relayWish) (rate float64, lost int, err error) {
	packet := make([]byte, w.Bytes)
	to := w.To.Public()
	start := p.arrived.Load()
	began := time.Now()
	length := time.Duration(w.Seconds * float64(time.Second))
	sent := int64(0)
	for time.Since(began) < length {
		for sent-(p.arrived.Load()-start) < int64(w.Window) {
			if err := p.from.Send(to, packet); err != nil {
				return 0, 0, err
			}
			sent++
		}
		select {
		case <-p.news:
		case <-time.After(200 * time.Millisecond):
			lost += int(sent - (p.arrived.Load() - start))
			sent = p.arrived.Load() - start
		}
	}
	took := time.Since(began)
	got := p.arrived.Load() - start
	time.Sleep(20 * time.Millisecond) // what is under way belongs to this turn, not to the next
	return float64(got) * float64(w.Bytes) / took.Seconds(), lost, nil
}

// connect logs a device in as Tailscale's clients do, and waits until it is.
func connect(place relayPlace, device key.NodePrivate) (*derphttp.Client, error) {
	region := &tailcfg.DERPRegion{RegionID: 900, RegionCode: "bench", Nodes: []*tailcfg.DERPNode{{
		Name: "900a", RegionID: 900, HostName: place.Address, IPv4: place.Address, IPv6: "none",
		DERPPort: place.Port, CertName: "sha256-raw:" + place.Pin,
	}}}
	if _, err := netip.ParseAddr(place.Address); err != nil {
		return nil, err
	}
	client := derphttp.NewRegionClient(device, logger.Discard, netmon.NewStatic(),
		func() *tailcfg.DERPRegion { return region })
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	if err := client.Connect(ctx); err != nil {
		return nil, err
	}
	message, err := client.Recv() // derper speaks first, once it has let the device in
	if err != nil {
		return nil, fmt.Errorf("not let in: %w", err)
	}
	if _, is := message.(derp.ServerInfoMessage); !is {
		return nil, fmt.Errorf("unexpected %T", message)
	}
	return client, nil
}
