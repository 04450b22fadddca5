// The static stand-in: it answers as the Python one does, except to queries, and carries load. It is not Chalk's engine.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// By it, chalk-deploy's probe of a gateway sees which deployment has answered.
	deploymentHeader = "X-Chalk-Deployment-Id"
	headMost         = 16 << 10
	headWithin       = 10 * time.Second
	bodyWithin       = 20 * time.Second
	// Longer than the hour after which Envoy gives up an idle connection: were this side first, it would close some
	// under a request that is on its way.
	idleWithin = 3900 * time.Second
)

// server is what a process answers with.
type server struct {
	settings settings
	started  time.Time
	draining atomic.Bool
	version  []byte
}

func main() {
	settings, err := settingsOf(os.Getenv)
	if err != nil {
		end(1, err.Error())
	}
	if settings.behaviour.ExitAfter >= 0 {
		time.AfterFunc(seconds(settings.behaviour.ExitAfter), func() { end(settings.behaviour.ExitCode, "told to end") })
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	listener, err := net.Listen("tcp", ":"+strconv.Itoa(settings.port))
	if err != nil {
		end(1, err.Error())
	}
	served := newServer(settings)
	listening := served.http()
	go func() {
		if err := listening.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			end(1, err.Error())
		}
	}()
	say(settings.component + " of " + settings.deployment + ": static, loads no project")
	for number := range signals {
		if number == syscall.SIGINT {
			end(130, "interrupted")
		}
		if !settings.behaviour.IgnoreTerm {
			break
		}
	}
	go func() {
		number := <-signals
		end(128+int(number.(syscall.Signal)), "told again")
	}()
	say(fmt.Sprintf("draining for %s", settings.drain))
	served.drain(listening)
	end(0, "drained")
}

func newServer(settings settings) *server {
	document := map[string]any{
		"stand_in":        true,
		"server":          "static",
		"deployment_id":   settings.deployment,
		"environment":     settings.environment,
		"component":       settings.component,
		"project":         settings.project,
		"chalkpy_version": nil,
		"source_digest":   settings.sourceDigest,
		"graph_digest":    settings.graphDigest,
	}
	// Plain data: writing it cannot fail.
	version, _ := json.Marshal(document)
	return &server{settings: settings, started: time.Now(), version: version}
}

// http is the server of this one's answers, for HTTP/1.1 and for HTTP/2 without TLS.
func (served *server) http() *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           served,
		Protocols:         &protocols,
		MaxHeaderBytes:    headMost,
		ReadHeaderTimeout: headWithin,
		ReadTimeout:       headWithin + bodyWithin,
		WriteTimeout:      bodyWithin + seconds(served.settings.behaviour.Delay),
		IdleTimeout:       idleWithin,
	}
}

// drain serves on for a while, each answer the last of its connection; then lets what is under way end.
func (served *server) drain(listening *http.Server) {
	served.draining.Store(true)
	time.Sleep(served.settings.drain)
	finish, cancel := context.WithTimeout(context.Background(), served.settings.finish)
	defer cancel()
	// Whatever is left then has had its time.
	_ = listening.Shutdown(finish)
}

func (served *server) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	header := writer.Header()
	header.Set(deploymentHeader, served.settings.deployment)
	// With HTTP/2, Go's server would take this for a GOAWAY that refuses what is on its way already; a gateway answers
	// that with 503. There, connections go on until the end of the drain, when no gateway sends here any longer.
	if served.draining.Load() && request.ProtoMajor == 1 {
		header.Set("Connection", "close")
	}
	status, body := served.answer(request.URL.Path)
	if status != http.StatusNotFound && request.Method != http.MethodGet && request.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		status, body = http.StatusMethodNotAllowed, []byte("another method is meant\n")
	}
	kind := "text/plain; charset=utf-8"
	if request.URL.Path == "/version" {
		kind = "application/json"
	}
	header.Set("Content-Type", kind)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	writer.WriteHeader(status)
	if request.Method != http.MethodHead {
		// A client that has gone does not want it.
		_, _ = writer.Write(body)
	}
}

func (served *server) answer(path string) (int, []byte) {
	behaviour := &served.settings.behaviour
	switch path {
	case "/":
		if behaviour.Delay > 0 {
			time.Sleep(seconds(behaviour.Delay))
		}
		return behaviour.Status, []byte(served.settings.deployment)
	case "/health", "/healthz":
		if !behaviour.Live {
			return http.StatusServiceUnavailable, []byte("told not to live\n")
		}
	case "/ready":
		if served.draining.Load() {
			return http.StatusServiceUnavailable, []byte("draining\n")
		}
		if !behaviour.Ready || time.Since(served.started) < seconds(behaviour.ReadyAfter) {
			return http.StatusServiceUnavailable, []byte("told not to be ready\n")
		}
	case "/version":
		return http.StatusOK, served.version
	default:
		return http.StatusNotFound, []byte("there is nothing here\n")
	}
	return http.StatusOK, []byte("ok\n")
}

func seconds(number float64) time.Duration {
	return time.Duration(number * float64(time.Second))
}

func say(words string) {
	fmt.Fprintln(os.Stderr, "stand-in: "+words)
}

func end(code int, words string) {
	say(words)
	os.Exit(code)
}
