package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pod reads settings from variables, without a project.
func pod(t *testing.T, variables map[string]string) settings {
	t.Helper()
	made, err := settingsOf(func(name string) string { return variables[name] })
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func ask(served *server, method, path string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	served.ServeHTTP(recorder, httptest.NewRequest(method, path, nil))
	return recorder
}

func TestEveryAnswerSaysWhichDeploymentGivesIt(t *testing.T) {
	served := newServer(pod(t, map[string]string{"CHALK_DEPLOYMENT_ID": "c1", "CHALK_COMPONENT": "query-server"}))
	for path, status := range map[string]int{"/": 200, "/health": 200, "/healthz": 200, "/ready": 200, "/version": 200, "/x": 404} {
		answer := ask(served, http.MethodGet, path)
		if answer.Code != status || answer.Header().Get("x-chalk-deployment-id") != "c1" {
			t.Errorf("%s: %d %v", path, answer.Code, answer.Header())
		}
	}
	if body := ask(served, http.MethodGet, "/").Body.String(); body != "c1" {
		t.Errorf("the body is %q", body)
	}
	var version map[string]any
	if err := json.Unmarshal(ask(served, http.MethodGet, "/version").Body.Bytes(), &version); err != nil {
		t.Fatal(err)
	}
	if version["stand_in"] != true || version["component"] != "query-server" {
		t.Errorf("the version is %v", version)
	}
}

func TestHeadHasNoBodyAndOtherMethodsAreRefused(t *testing.T) {
	served := newServer(pod(t, map[string]string{"CHALK_DEPLOYMENT_ID": "c1"}))
	head := ask(served, http.MethodHead, "/")
	if head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("Content-Length") != "2" {
		t.Errorf("HEAD: %d %q %v", head.Code, head.Body, head.Header())
	}
	if post := ask(served, http.MethodPost, "/"); post.Code != 405 || post.Header().Get("Allow") == "" {
		t.Errorf("POST: %d", post.Code)
	}
}

func TestAServerThatDrainsServesAndIsNotReadyAndClosesOnlyHTTP1(t *testing.T) {
	served := newServer(pod(t, nil))
	served.draining.Store(true)
	if code := ask(served, http.MethodGet, "/ready").Code; code != 503 {
		t.Errorf("/ready: %d", code)
	}
	if answer := ask(served, http.MethodGet, "/"); answer.Code != 200 || answer.Header().Get("Connection") != "close" {
		t.Errorf("/: %d %v", answer.Code, answer.Header())
	}
	recorder, request := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	request.ProtoMajor = 2
	served.ServeHTTP(recorder, request)
	if recorder.Header().Get("Connection") != "" {
		t.Error("an answer in HTTP/2 sends GOAWAY")
	}
}

func TestASlowHeadIsGivenUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listening := newServer(pod(t, nil)).http()
	listening.ReadHeaderTimeout = 50 * time.Millisecond
	go listening.Serve(listener)
	defer listening.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	client.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := client.Write([]byte("GET / HT")); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 1000)
	for {
		if _, err := client.Read(buffer); err != nil {
			if os.IsTimeout(err) {
				t.Fatal("the connection is held")
			}
			return
		}
	}
}

func TestAProjectAsksForABehaviourAndTheVariableGoesBefore(t *testing.T) {
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, behaviourFile), []byte(`{"ready": false, "status": 500}`), 0o600); err != nil {
		t.Fatal(err)
	}
	made := pod(t, map[string]string{"CHALK_SOURCE_DIRECTORY": source, behaviourVariable: `{"status": 418}`}).behaviour
	if made.Ready || made.Status != 418 || !made.Live || made.ExitAfter != -1 {
		t.Errorf("the behaviour is %+v", made)
	}
	served := newServer(pod(t, map[string]string{"CHALK_SOURCE_DIRECTORY": source}))
	if code := ask(served, http.MethodGet, "/ready").Code; code != 503 {
		t.Errorf("/ready: %d", code)
	}
	if code := ask(served, http.MethodGet, "/").Code; code != 500 {
		t.Errorf("/: %d", code)
	}
}

func TestWhatCannotBeMeantIsRefused(t *testing.T) {
	for _, pair := range []string{
		"PORT=x", "PORT=-1", "PORT=99999", "PORT=nan", "CHALK_DRAIN_SECONDS=inf", "CHALK_COMPONENT=cook", "CHALK_DEPLOYMENT_ID=a\nb",
		behaviourVariable + "={", behaviourVariable + "=[]", behaviourVariable + `={"redy": true}`,
		behaviourVariable + `={"ready": 1}`, behaviourVariable + `={"status": 99}`, behaviourVariable + `={} {}`,
		behaviourVariable + `={"exit_code": 256}`, behaviourVariable + `=null`,
	} {
		name, value, _ := strings.Cut(pair, "=")
		variables := map[string]string{name: value, "CHALK_SOURCE_DIRECTORY": t.TempDir()}
		if _, err := settingsOf(func(name string) string { return variables[name] }); err == nil {
			t.Errorf("%q is taken", pair)
		}
	}
}

func TestADrainEndsWithinWhatPreStopLeavesOfTheGracePeriod(t *testing.T) {
	made := pod(t, nil)
	if made.drain+made.finish >= 30*time.Second || made.port != 8080 {
		t.Errorf("the settings are %+v", made)
	}
}
