// An ES module that throws while it is loaded: under PM2 its process lives on, doing nothing.
import { createServer } from 'node:http';

createServer(() => undefined);
throw new Error('this release is broken');
