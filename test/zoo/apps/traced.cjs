const { trace } = require('@opentelemetry/api');
const express = require('express');

const app = express();
app.get('/', (_request, response) => {
	const span = trace.getActiveSpan();
	// Without instrumentation in force no request has a span.
	if (span === undefined) return response.sendStatus(500);
	response.json({ pid: process.pid, trace: span.spanContext().traceId });
});
app.get('/healthz', (_request, response) => response.sendStatus(200));
app.listen(process.env.PORT);
