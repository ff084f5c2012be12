// Package traces tells where the time of single requests goes, by OpenTelemetry:
// as spans, sent by OTLP over HTTP to a collector that the operator names. It is
// the only package that knows OpenTelemetry; without a collector it is not used
// at all.
//
// Spans are made when a request is over, from what package measure has noted, so
// that nothing is paid on the way. They hold routes, ids of clients and
// outcomes, and nothing of people or of what was presented. Those that cannot be
// sent are lost: a collector that is away never holds up a request.
package traces

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"jeton/measure"
)

// Config says where traces go.
type Config struct {
	// Endpoint is the URL of the collector; without a path it is /v1/traces.
	Endpoint string
	// OneIn is how many of the requests that no caller has put into a trace one
	// is traced of; 0 traces none of them.
	OneIn int
	// Version is this program's.
	Version string
	Log     *slog.Logger
}

// How spans wait to be sent. What comes while the queue is full is lost.
const (
	mostQueued = 2048
	mostSent   = 512
	sendEvery  = 5 * time.Second
	sendTime   = 10 * time.Second
)

// Tracer sends spans. It is safe for concurrent use.
type Tracer struct {
	oneIn    int
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// New begins to send.
func New(cfg Config) (*Tracer, error) {
	c, err := newCollector(cfg)
	if err != nil {
		return nil, err
	}
	exporter, err := otlptrace.New(context.Background(), c)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	// OpenTelemetry tells of its own trouble in one place for the process.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		cfg.Log.Warn("OpenTelemetry has met an error", "error", err)
	}))
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(exporter, sdk.WithMaxQueueSize(mostQueued), sdk.WithMaxExportBatchSize(mostSent),
			sdk.WithBatchTimeout(sendEvery), sdk.WithExportTimeout(sendTime)),
		sdk.WithSampler(sdk.AlwaysSample()), // [Tracer.Begin] has decided
		sdk.WithIDGenerator(given{}),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "jeton"), attribute.String("service.version", cfg.Version))))
	return &Tracer{oneIn: cfg.OneIn, provider: provider, tracer: provider.Tracer("jeton")}, nil
}

// Close sends what waits, and ends.
func (t *Tracer) Close(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// Parent is the span that a request belongs to (W3C Trace Context).
type Parent struct {
	Trace   [16]byte
	Span    [8]byte
	Sampled bool
}

// IDs name the span of a request.
type IDs struct {
	Trace [16]byte
	Span  [8]byte
}

// Begin decides whether a request is traced, and names its span. A caller that
// traces decides for both, so parent is only from one whose word counts.
func (t *Tracer) Begin(parent Parent) (ids IDs, traced bool) {
	if parent.Trace != [16]byte{} {
		ids.Trace, traced = parent.Trace, parent.Sampled
	} else if traced = t.oneIn > 0 && rand.IntN(t.oneIn) == 0; traced {
		ids.Trace = randomTrace()
	}
	if traced {
		ids.Span = randomSpan()
	}
	return ids, traced
}

// Span is a request that is over.
type Span struct {
	IDs
	Parent Parent
	Name   string
	Begun  time.Time
	Took   time.Duration
	Parts  []measure.Part
	// Failed says that the server is at fault.
	Failed bool
	// Texts and Numbers are its attributes.
	Texts   [][2]string
	Numbers map[string]int64
}

// End hands a span over, with one for each of its parts. It never waits.
func (t *Tracer) End(s Span) {
	attributes := make([]attribute.KeyValue, 0, len(s.Texts)+len(s.Numbers))
	for _, text := range s.Texts {
		if text[1] != "" {
			attributes = append(attributes, attribute.String(text[0], text[1]))
		}
	}
	for name, n := range s.Numbers {
		attributes = append(attributes, attribute.Int64(name, n))
	}
	ctx := context.Background()
	if s.Parent.Span != [8]byte{} {
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: s.Parent.Trace, SpanID: s.Parent.Span, TraceFlags: trace.FlagsSampled, Remote: true,
		}))
	}
	ctx, span := t.tracer.Start(context.WithValue(ctx, idsKey{}, s.IDs), s.Name,
		trace.WithTimestamp(s.Begun), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
	if s.Failed {
		span.SetStatus(codes.Error, "")
	}
	ctx = context.WithValue(ctx, idsKey{}, IDs{}) // the parts have names of their own
	for _, part := range s.Parts {
		_, child := t.tracer.Start(ctx, part.Stage.String(), trace.WithTimestamp(part.Begun))
		child.End(trace.WithTimestamp(part.Begun.Add(part.Took)))
	}
	span.End(trace.WithTimestamp(s.Begun.Add(s.Took)))
}

// given gives a span the ids that were chosen when its request began.
type given struct{}

type idsKey struct{}

// NewIDs is for a span without a parent.
func (given) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if ids, ok := ctx.Value(idsKey{}).(IDs); ok && ids != (IDs{}) {
		return ids.Trace, ids.Span
	}
	return randomTrace(), randomSpan()
}

// NewSpanID is for one with a parent.
func (given) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if ids, ok := ctx.Value(idsKey{}).(IDs); ok && ids != (IDs{}) {
		return ids.Span
	}
	return randomSpan()
}

// These ids need not be hard to guess, only different.
func randomTrace() (id [16]byte) {
	for id == [16]byte{} {
		fill(id[:])
	}
	return id
}

func randomSpan() (id [8]byte) {
	for id == [8]byte{} {
		fill(id[:])
	}
	return id
}

func fill(b []byte) {
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
}
