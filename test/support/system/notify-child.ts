/** A service of few words: tells the manager named in its environment that it is ready, then that it stops. */
import { createNotifier } from '../../../src/system/systemd/notify.js';

const notifier = createNotifier(process.env, (message) => process.stderr.write(message));
notifier.ready();
notifier.status(`pid ${process.pid}`);
notifier.stopping();
