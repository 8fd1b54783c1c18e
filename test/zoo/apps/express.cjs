const express = require('express');

const app = express();
app.use(express.json());
app.get('/', (_request, response) => response.json({ pid: process.pid }));
app.get('/healthz', (_request, response) => response.sendStatus(200));
app.listen(process.env.PORT, () => console.log(`listening on ${process.env.PORT}`));
