#include <stdint.h>

typedef struct counter counter;

counter *counter_open(void);
int counter_add(const counter *, uint32_t n, uint64_t ms, uint32_t *sum); /* from any thread */
void counter_close(counter *);

int main(void) {
    uint32_t sum = 0;
    counter *c = counter_open();
    if (!c)
        return 1;
    int error = counter_add(c, 2, 1000, &sum);
    counter_close(c);
    return error != 0 || sum != 2;
}
