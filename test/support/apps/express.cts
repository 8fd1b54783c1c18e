import express = require('express');

const app = express();
app.get('/', (_request, response) => {
	response.send(String(process.pid));
});
app.get('/ip', (request, response) => {
	response.send(request.ip);
});
app.listen(Number(process.env['PORT']), 'localhost');
