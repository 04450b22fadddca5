/* What the sandbox of a pod runs: nothing, until it is told to end. It is process 1 where the containers of a pod share
 * their process namespace, so it collects the processes whose parents have ended.
 *
 * Every signal is blocked and waited for: none is lost between two waits, and no handler runs. */

#include <signal.h>
#include <sys/wait.h>

int main(void)
{
    sigset_t signals;
    int signal = 0;

    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &signals, 0) != 0)
        return 1;
    for (;;) {
        if (sigwait(&signals, &signal) != 0)
            return 1;
        if (signal != SIGCHLD)
            return 0;
        while (waitpid(-1, 0, WNOHANG) > 0)
            ;
    }
}
